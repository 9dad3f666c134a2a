//! When nginx is restarted, not at the first doubt and not without end, and what
//! becomes of files that somebody else changed.

mod breaker;
mod file_watch;
mod loaded;

use std::time::Duration;

pub(crate) use breaker::Breaker;
pub use breaker::BreakerOptions;
pub(crate) use file_watch::FileWatch;
pub(crate) use loaded::Loaded;

/// How long nginx may stay silent, and how often it is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchdogOptions {
    /// After so many looks in a row at which its processes were there and did
    /// not answer, nginx is restarted. Default: 3; at least 1. A look gives
    /// nginx 2 s.
    pub failed_looks: u32,
    /// How long nginx may take to end before it is restarted; it is killed
    /// after 3 s, or half of this. Default: 15 s.
    pub stop_deadline: Duration,
    /// When restarts are held back.
    pub breaker: BreakerOptions,
    /// What becomes of files that somebody else changed. Default: they are reported.
    pub drift: DriftPolicy,
}

/// What becomes of files of the agent that somebody else changed. Whatever it
/// is, an nginx that is brought back gets the confirmed release, and so does one
/// whose agent starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DriftPolicy {
    /// They are told and left alone.
    #[default]
    Report,
    /// They are made as they were, and nginx is reloaded if it has read them.
    /// What is not the agent's goes from the folder of the release only.
    Repair,
}

impl Default for WatchdogOptions {
    fn default() -> Self {
        Self {
            failed_looks: 3,
            stop_deadline: Duration::from_secs(15),
            breaker: BreakerOptions::default(),
            drift: DriftPolicy::default(),
        }
    }
}

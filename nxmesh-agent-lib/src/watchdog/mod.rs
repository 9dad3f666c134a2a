//! When nginx is restarted: not at the first doubt, and not without end.

mod breaker;

use std::time::Duration;

pub(crate) use breaker::Breaker;
pub use breaker::BreakerOptions;

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
}

impl Default for WatchdogOptions {
    fn default() -> Self {
        Self {
            failed_looks: 3,
            stop_deadline: Duration::from_secs(15),
            breaker: BreakerOptions::default(),
        }
    }
}

//! A clock that stands still until it is told to move.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::contract::clock::Clock;

/// A clock set by hand. Clones show the same time.
///
/// ```
/// use std::time::Duration;
/// use nxmesh_core::{contract::clock::Clock, memory::ManualClock};
///
/// let clock = ManualClock::at_unix_millis(1_000);
/// let shown_elsewhere = clock.clone();
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(shown_elsewhere.unix_millis(), 3_000);
/// ```
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    unix_millis: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that shows `unix_millis` milliseconds after 1970.
    #[must_use]
    pub fn at_unix_millis(unix_millis: u64) -> Self {
        Self {
            unix_millis: Arc::new(AtomicU64::new(unix_millis)),
        }
    }

    /// Moves on by `span`, in whole milliseconds.
    pub fn advance(&self, span: Duration) {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.unix_millis.fetch_add(span, Ordering::SeqCst);
    }

    /// Jumps to `unix_millis`; backwards too, as real clocks do.
    pub fn set_unix_millis(&self, unix_millis: u64) {
        self.unix_millis.store(unix_millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.unix_millis.load(Ordering::SeqCst))
    }
}

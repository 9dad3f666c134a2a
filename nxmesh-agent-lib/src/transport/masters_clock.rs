//! The time on the master's clock, as far as it is known here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nxmesh_core::contract::clock::Clock;
use tracing::warn;

/// This machine's clock, put right by what a refusal told. Signatures are dated
/// by it, nothing else.
#[derive(Debug)]
pub(super) struct MastersClock {
    own: Arc<dyn Clock>,
    /// What is to be added to get the master's, in milliseconds.
    ahead: AtomicI64,
}

impl MastersClock {
    pub(super) fn new(own: Arc<dyn Clock>) -> Self {
        let ahead = AtomicI64::new(0);
        Self { own, ahead }
    }

    /// Takes the master's time (Unix milliseconds) from a refusal.
    pub(super) fn learn(&self, told: u64) {
        let own = self.own.unix_millis();
        let ahead = i64::try_from(i128::from(told) - i128::from(own)).unwrap_or(0);
        warn!(
            ahead_ms = ahead,
            "this machine's clock is not the master's; set one of them right"
        );
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// How far the master's is ahead, in milliseconds.
    pub(super) fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }
}

impl Clock for MastersClock {
    fn now(&self) -> SystemTime {
        let millis = self.own.unix_millis().saturating_add_signed(self.ahead());
        let since = Duration::from_millis(millis);
        UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
    }
}

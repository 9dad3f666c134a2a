//! What was done and seen so far.

use tokio::time::Instant;

/// What is known of nginx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nginx {
    /// Nothing yet.
    Unknown,
    /// It runs and serves what it should.
    Fine,
    /// It is gone, or serves something else.
    Astray,
    /// Its processes are there and do not answer, not yet for long.
    Silent,
    /// It was silent for too long.
    Hung,
}

/// What the controller goes by.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    /// The serial of the last offer that was dealt with; 0 before the first.
    pub(super) handled: u64,
    /// What is known of nginx.
    pub(super) nginx: Nginx,
    /// Before this it is not recovered again.
    pub(super) recover_at: Instant,
    /// Then nginx is looked at again.
    pub(super) observe_at: Instant,
    /// Then its files are compared again.
    pub(super) check_at: Instant,
    /// Before this nginx is not reloaded again.
    pub(super) reload_at: Option<Instant>,
    /// Before this servers are not marked again.
    pub(super) mark_at: Instant,
}

impl Observed {
    /// Until when an offer waits. Where nginx is not well, the offer may be the cure.
    pub(super) fn held_until(&self, now: Instant) -> Option<Instant> {
        let at = self.reload_at.filter(|_| self.nginx == Nginx::Fine)?;
        (at > now).then_some(at)
    }
}

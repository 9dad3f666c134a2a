//! How a fleet is led, and figures of it.

use std::time::Duration;

/// How the fleet is led. Every span is settable so that tests need not wait.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FleetOptions {
    /// How often the history is polled when no hint arrives. Default: 1 s.
    pub poll_interval: Duration,
    /// Writes that follow each other more closely than this are sent out
    /// together, once none came for as long. Default: 50 ms.
    pub coalesce_quiet: Duration,
    /// Writes are sent out after this long at the latest. Default: 500 ms.
    pub coalesce_most: Duration,
    /// How often agents are told to report. Default: 30 s.
    pub heartbeat_interval: Duration,
    /// An offer without a final answer is made again after this long. Default: 2 min.
    pub offer_timeout: Duration,
    /// The first ceiling of the pause after a retryable failure, and the first
    /// pause before a key that was offered is offered again. Default: 5 s.
    pub retry_first: Duration,
    /// The last ceiling of it. Default: 5 min.
    pub retry_most: Duration,
    /// An agent away for this long is not waited for in rollouts. Default: 10 s.
    pub disconnect_grace: Duration,
    /// The age at which an agent's key is changed; up to a tenth sooner, so that
    /// not all are changed at once. `None`: age changes none. Default: 90 days.
    pub key_lifetime: Option<Duration>,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(1),
            coalesce_quiet: Duration::from_millis(50),
            coalesce_most: Duration::from_millis(500),
            heartbeat_interval: Duration::from_secs(30),
            offer_timeout: Duration::from_secs(120),
            retry_first: Duration::from_secs(5),
            retry_most: Duration::from_secs(300),
            disconnect_grace: Duration::from_secs(10),
            key_lifetime: Some(Duration::from_secs(90 * 24 * 3600)),
        }
    }
}

/// Figures of the fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetCounts {
    /// Enrolled agents.
    pub agents: u64,
    /// Those with a session.
    pub connected: u64,
    /// Those that serve what they are to serve.
    pub in_sync: u64,
    /// Those whose newest version failed.
    pub failed: u64,
    /// Offers sent since the start.
    pub offers_sent: u64,
}

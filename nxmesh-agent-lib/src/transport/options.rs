//! How a master is reached, whatever is spoken with it.

use std::{sync::Arc, time::Duration};

use nxmesh_core::contract::{
    BoxError,
    clock::{Clock, SystemClock},
};

use super::{MasterUrl, Proxy, Trust};

/// How one master is reached.
#[derive(Debug, Clone)]
pub struct MasterOptions {
    /// Where it is.
    pub url: MasterUrl,
    /// Whom its certificate has to come from.
    pub trust: Trust,
    /// What leads to it, unless it is reached directly. Default: nothing.
    pub proxy: Option<Proxy>,
    /// For TCP, a proxy and the TLS handshake together. Default: 10 s.
    pub connect_timeout: Duration,
    /// How long a call may take to answer, and a bundle to bring its next
    /// chunk. Default: 30 s.
    pub call_timeout: Duration,
    /// Pings on a connection that is silent.
    pub keepalive: Keepalive,
    /// Dates signatures. Default: the machine's clock.
    pub clock: Arc<dyn Clock>,
}

impl MasterOptions {
    /// The defaults for the master at `url`.
    #[must_use]
    pub fn new(url: MasterUrl, trust: Trust) -> Self {
        Self {
            url,
            trust,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            keepalive: Keepalive::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Pings on a connection that is silent, so that one that is only half open is
/// found. They go both ways: the master has such pings of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// A ping is sent after so long without traffic. Default: 10 s.
    pub interval: Duration,
    /// The connection is given up so long after an unanswered ping. Default: 20 s.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(20),
        }
    }
}

impl Keepalive {
    /// How long the master can be gone without being missed.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        self.interval.saturating_add(self.timeout)
    }
}

/// Why options do not make a transport.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MasterOptionsError {
    /// The URL cannot be used.
    #[error("the master's URL is not usable")]
    Url(#[source] BoxError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_open_connection_is_found_within_fifty_seconds() {
        assert!(Keepalive::default().patience() <= Duration::from_secs(50));
    }
}

//! Typed options of the master. No file is read here.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::coordination::FleetOptions;

/// How a master listens and leads its fleet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MasterConfig {
    /// Where people and tools connect. Plain HTTP if the address is loopback,
    /// else TLS. Port 0 takes a free one. Default: 127.0.0.1:8080.
    pub api_listen: SocketAddr,
    /// Where agents connect, over TLS. Port 0 takes a free one. Default: 0.0.0.0:8443.
    pub agent_listen: SocketAddr,
    /// Host names and addresses under which the master is reached. Its
    /// certificate is for these, beside `localhost`, 127.0.0.1, ::1 and the
    /// addresses it listens on. Agents are told the first one. Default: none.
    pub server_names: Vec<String>,
    /// The machine's own name: in the certificate too, and what agents are told
    /// if the master listens on all addresses and has no other name. Default: none.
    pub host_name: Option<String>,
    /// How the fleet is led.
    pub fleet: FleetOptions,
    /// What finds connections of agents that are only half open.
    pub keepalive: Keepalive,
    /// How long open requests may take to finish once the master stops. Default: 10 s.
    pub drain_timeout: Duration,
}

/// Pings on a connection that is silent.
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
    /// How long a peer can be gone without being missed.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        self.interval.saturating_add(self.timeout)
    }
}

impl Default for MasterConfig {
    fn default() -> Self {
        Self {
            api_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            agent_listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)),
            server_names: Vec::new(),
            host_name: None,
            fleet: FleetOptions::default(),
            keepalive: Keepalive::default(),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl MasterConfig {
    /// The URL agents are told, given the port that was bound.
    pub(crate) fn agent_url(&self, bound: SocketAddr) -> String {
        let machine = self
            .host_name
            .as_ref()
            .filter(|_| bound.ip().is_unspecified());
        let host = match self.server_names.first().or(machine) {
            Some(name) if name.contains(':') => format!("[{name}]"),
            Some(name) => name.clone(),
            None if bound.ip().is_unspecified() || bound.ip().is_loopback() => {
                "localhost".to_owned()
            }
            None => return format!("https://{bound}"),
        };
        format!("https://{host}:{}", bound.port())
    }

    /// What the certificate is for, beside the names every master has.
    pub(crate) fn certificate_names(&self) -> impl Iterator<Item = String> {
        let addresses = [self.api_listen.ip(), self.agent_listen.ip()]
            .into_iter()
            .filter(|address| !address.is_unspecified())
            .map(|address| address.to_string());
        let names = self.server_names.iter().chain(&self.host_name).cloned();
        names.chain(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_told_where_the_master_is() {
        let mut config = MasterConfig::default();
        let url = |config: &MasterConfig, bound: &str| config.agent_url(bound.parse().unwrap());
        assert_eq!(url(&config, "0.0.0.0:8443"), "https://localhost:8443");
        assert_eq!(url(&config, "127.0.0.1:4711"), "https://localhost:4711");
        assert_eq!(url(&config, "192.0.2.1:8443"), "https://192.0.2.1:8443");
        assert_eq!(
            url(&config, "[2001:db8::1]:8443"),
            "https://[2001:db8::1]:8443"
        );
        config.host_name = Some("machine".into());
        assert_eq!(url(&config, "0.0.0.0:8443"), "https://machine:8443");
        assert_eq!(url(&config, "127.0.0.1:4711"), "https://localhost:4711");
        config.server_names = vec!["master.example".into()];
        assert_eq!(url(&config, "0.0.0.0:1"), "https://master.example:1");
        config.server_names = vec!["2001:db8::1".into()];
        assert_eq!(url(&config, "[::]:1"), "https://[2001:db8::1]:1");
    }

    #[test]
    fn a_half_open_connection_is_found_within_fifty_seconds() {
        assert!(MasterConfig::default().keepalive.patience() <= Duration::from_secs(50));
    }

    #[test]
    fn the_certificate_covers_names_and_addresses() {
        let config = MasterConfig {
            api_listen: "192.0.2.1:8080".parse().unwrap(),
            server_names: vec!["master.example".into()],
            host_name: Some("machine".into()),
            ..MasterConfig::default()
        };
        let names: Vec<_> = config.certificate_names().collect();
        assert_eq!(names, ["master.example", "machine", "192.0.2.1"]);
    }
}

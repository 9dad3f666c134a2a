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
    /// Host names and addresses under which the master is reached, beside
    /// `localhost`, 127.0.0.1 and ::1; its certificate is for these. The first
    /// one is what agents are told to connect to. Default: none.
    pub server_names: Vec<String>,
    /// How the fleet is led.
    pub fleet: FleetOptions,
    /// How long open requests may take to finish once the master stops. Default: 10 s.
    pub drain_timeout: Duration,
}

impl Default for MasterConfig {
    fn default() -> Self {
        Self {
            api_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            agent_listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)),
            server_names: Vec::new(),
            fleet: FleetOptions::default(),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl MasterConfig {
    /// The URL agents are told, given the port that was bound.
    pub(crate) fn agent_url(&self, bound: SocketAddr) -> String {
        let host = match self.server_names.first() {
            Some(name) if name.contains(':') => format!("[{name}]"),
            Some(name) => name.clone(),
            None if bound.ip().is_unspecified() || bound.ip().is_loopback() => {
                "localhost".to_owned()
            }
            None => return format!("https://{bound}"),
        };
        format!("https://{host}:{}", bound.port())
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
        config.server_names = vec!["master.example".into()];
        assert_eq!(url(&config, "0.0.0.0:1"), "https://master.example:1");
        config.server_names = vec!["2001:db8::1".into()];
        assert_eq!(url(&config, "[::]:1"), "https://[2001:db8::1]:1");
    }
}

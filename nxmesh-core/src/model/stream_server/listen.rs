//! Where a stream server listens.

use serde::{Deserialize, Serialize};

use crate::model::value::{ListenAddress, Port};

/// What is spoken below a stream server.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StreamProtocol {
    /// Connections.
    #[default]
    Tcp,
    /// Datagrams; those of one client address and port are a session.
    Udp,
}

/// One address a stream server listens on. It has it for itself: neither another
/// stream server nor a virtual host may be there too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StreamListen {
    /// 1 to 65535.
    pub port: Port,
    /// Default: every IPv4 and IPv6 address of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<ListenAddress>,
    /// Connections begin with the PROXY protocol, version 1 or 2; TCP only.
    /// Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy_protocol: bool,
    /// A socket for each worker. To change this, or the number of workers, drops
    /// connections that wait to be taken. Default: false (nginx: `reuseport`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse_port: bool,
    /// How many connections may wait to be taken, 1 to 65535; TCP only. Default:
    /// the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u16>,
    /// Let the system ask whether silent clients are still there; TCP only.
    /// Default: false (nginx: `so_keepalive`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keepalive: bool,
}

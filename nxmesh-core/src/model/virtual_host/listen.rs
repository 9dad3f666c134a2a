//! Where a virtual host listens.

use serde::{Deserialize, Serialize};

use crate::model::value::{ListenAddress, Port};

/// One address a virtual host listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// 1 to 65535.
    pub port: Port,
    /// Default: every IPv4 and IPv6 address of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<ListenAddress>,
    /// Serve TLS here. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// Offer HTTP/2 here; needs `tls`. Before nginx 1.25.1 it is offered to all who share the
    /// port as soon as one of them says so. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http2: bool,
    /// Offer HTTP/3 too, over UDP at the same port; needs `tls` with TLS 1.3. Responses
    /// over TCP tell of it (`Alt-Svc`, RFC 7838). Connections over UDP may break off
    /// when nginx is reloaded; clients come back over TCP. Default: false (nginx:
    /// `listen … quic`, 1.25.0).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http3: bool,
    /// Connections begin with the PROXY protocol, version 1 or 2; who does not speak
    /// it is turned away. The same for all who share the port. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy_protocol: bool,
    /// A socket for each worker. To change this, or the number of workers, drops
    /// connections that wait to be taken. Default: false (nginx: `reuseport`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse_port: bool,
    /// How many connections may wait to be taken, 1 to 65535. Default: the
    /// system's. This, `reuse_port`, `deferred` and `fast_open` belong to the port:
    /// one of those who share it says them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u16>,
    /// Take connections once they have sent something. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deferred: bool,
    /// TCP fast open, with so many waiting, 1 to 65535. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_open: Option<u16>,
    /// Answer requests whose name no virtual host on this port has. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_server: bool,
}

impl Listen {
    /// Plain HTTP on every address.
    #[must_use]
    pub const fn plain(port: Port) -> Self {
        Self {
            port,
            address: None,
            tls: false,
            http2: false,
            http3: false,
            proxy_protocol: false,
            reuse_port: false,
            backlog: None,
            deferred: false,
            fast_open: None,
            default_server: false,
        }
    }

    /// Whether it says something that belongs to the port, not to the host.
    #[must_use]
    pub const fn has_socket_options(&self) -> bool {
        self.reuse_port || self.backlog.is_some() || self.deferred || self.fast_open.is_some()
    }
}

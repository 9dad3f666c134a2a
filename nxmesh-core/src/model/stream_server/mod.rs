//! A server of connections and datagrams that are passed on unread.

mod listen;
mod target;
mod tls;

use serde::{Deserialize, Serialize};

use super::{
    Document, Selector, UpstreamTls,
    traffic::{Access, ErrorLog},
    value::{FilePath, ResourceName, ResponseBody, SizeBytes, SyslogAddress, Time},
};
pub use listen::{StreamListen, StreamProtocol};
pub use target::{NamedRoute, RouteByName, StreamSplit};
pub use tls::{StreamClientCertificates, StreamTls};

/// A stream server document (nginx manual, `ngx_stream_core_module`).
///
/// Only an agent that owns the whole of `nginx.conf` (mode full) can serve it: the
/// one file by which releases are switched is included in the block `http`
/// otherwise, and a second one could not be switched at the same instant.
pub type StreamServer = Document<StreamServerSpec>;

/// What a stream server says. Exactly one of `pass`, `by_name` and `respond` is
/// there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StreamServerSpec {
    /// Which agents serve it. Default: every agent of the workspace.
    #[serde(default)]
    pub selector: Selector,
    /// What is spoken below. Default: `tcp`.
    #[serde(default)]
    pub protocol: StreamProtocol,
    /// Where it listens, 1 to 100 (nginx: `listen`).
    pub listen: Vec<StreamListen>,
    /// End TLS here. Default: it is passed on as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<StreamTls>>,
    /// The Upstream to pass to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<ResourceName>,
    /// Shares of the clients that go elsewhere than to `pass`. Default: none
    /// (nginx: `split_clients`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<StreamSplit>,
    /// Pass by the name that clients ask for in the TLS handshake, ended here or
    /// not (nginx: `ssl_preread`, 1.11.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_name: Option<RouteByName>,
    /// Say a text of at least one character, without a line end, and close
    /// (nginx: `return`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<ResponseBody>,
    /// Speak TLS to the upstreams. Default: no (nginx: `proxy_ssl`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_tls: Option<Box<UpstreamTls>>,
    /// Tell upstreams the client's address with the PROXY protocol, version 1.
    /// Default: false (nginx: `proxy_protocol`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub send_proxy_protocol: bool,
    /// Default: nginx's.
    #[serde(default, skip_serializing_if = "StreamTimeouts::is_default")]
    pub timeouts: StreamTimeouts,
    /// When another server of the upstream is asked. Default: nginx's, each once.
    #[serde(default, skip_serializing_if = "StreamRetry::is_default")]
    pub retry: StreamRetry,
    /// Datagrams that make up a session. Default: nginx's, it ends with
    /// `timeouts.idle`.
    #[serde(default, skip_serializing_if = "Datagrams::is_default")]
    pub datagrams: Datagrams,
    /// How many, and how fast. Default: no limits.
    #[serde(default, skip_serializing_if = "StreamLimits::is_default")]
    pub limits: StreamLimits,
    /// The memory for each direction, 1k to 1m. Default: nginx's, 16k (nginx:
    /// `proxy_buffer_size`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer_size: Option<SizeBytes>,
    /// Which clients are let in; for others the connection is closed. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// One line for each session. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<StreamLog>,
    /// What nginx has to say. Default: where the rest of nginx says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_log: Option<Box<ErrorLog>>,
    /// Snippets of the context `stream_server` that stand in it, at most 20.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snippets: Vec<ResourceName>,
}

impl StreamServerSpec {
    /// The upstreams that are passed to, each with its JSON pointer.
    pub fn upstreams(&self) -> impl Iterator<Item = (String, &ResourceName)> {
        let pass = self.pass.iter().map(|name| ("/spec/pass".to_owned(), name));
        let shares = self.split.iter().flat_map(|split| &split.shares);
        let shares = shares.enumerate().map(|(index, share)| {
            let pointer = format!("/spec/split/shares/{index}/upstream");
            (pointer, &share.upstream)
        });
        let routes = self.by_name.iter().flat_map(|it| &it.routes);
        let routes = routes.enumerate().map(|(index, route)| {
            let pointer = format!("/spec/by_name/routes/{index}/upstream");
            (pointer, &route.upstream)
        });
        let others = self.by_name.iter().filter_map(|it| it.others.as_ref());
        let others = others.map(|name| ("/spec/by_name/others".to_owned(), name));
        pass.chain(shares).chain(routes).chain(others)
    }
}

/// How long is waited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StreamTimeouts {
    /// For a server of an upstream to take the connection. Default: nginx's, 60s
    /// (nginx: `proxy_connect_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Time>,
    /// Without a byte in either direction. Default: nginx's, 10m (nginx:
    /// `proxy_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Time>,
    /// For the first bytes, where they decide. Default: nginx's, 30s (nginx:
    /// `preread_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preread: Option<Time>,
}

impl StreamTimeouts {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// When another server of the upstream is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StreamRetry {
    /// How often at most, the first time counted, 1 to 100; 1 for never. Default:
    /// nginx's, as often as there are servers (nginx: `proxy_next_upstream_tries`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u16>,
    /// Not later than this after the first. Default: nginx's, no limit (nginx:
    /// `proxy_next_upstream_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Time>,
}

impl StreamRetry {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Datagrams that make up a session; needs `protocol: udp`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Datagrams {
    /// How many of the client belong to one session, 1 to 1000000 (nginx:
    /// `proxy_requests`, 1.15.7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// How many answer each of them, 0 to 1000000; with 0 none is waited for
    /// (nginx: `proxy_responses`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responses: Option<u32>,
}

impl Datagrams {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How many, and how fast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StreamLimits {
    /// Sessions at a time of one client address, 1 to 65535; counted for this
    /// server alone (nginx: `limit_conn`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u16>,
    /// Bytes per second from the client, of each session (nginx: `proxy_upload_rate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<SizeBytes>,
    /// Bytes per second to the client, of each session (nginx: `proxy_download_rate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download: Option<SizeBytes>,
}

impl StreamLimits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One line for each session (nginx: `access_log`, 1.11.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StreamLog {
    /// A file on the agent's machine. Exactly one of file and syslog is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,
    /// A syslog server, over UDP or a unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<SyslogAddress>,
    /// How a line looks. Default: `basic`.
    #[serde(default)]
    pub format: StreamLogStyle,
}

/// How a line about a session looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StreamLogStyle {
    /// Client, time, protocol, status, bytes sent and received, duration, upstream.
    #[default]
    Basic,
    /// The same as one JSON object (nginx 1.11.8).
    Json,
}

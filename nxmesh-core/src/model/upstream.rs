//! A group of servers that requests are passed to.

use serde::{Deserialize, Serialize};

use super::{
    Document,
    value::{ResourceName, Time, UpstreamAddress},
};

/// An upstream document.
pub type Upstream = Document<UpstreamSpec>;

/// What an upstream says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UpstreamSpec {
    /// How a server is chosen. Default: `round_robin`.
    #[serde(default)]
    pub balance: Balance,
    /// Idle connections kept open by each worker, 1 to 10000. Default: none (nginx: `keepalive`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<u32>,
    /// At least one that is not a backup.
    pub servers: Vec<UpstreamServer>,
    /// Snippets of the context `upstream` that stand in it, at most 20. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snippets: Vec<ResourceName>,
}

/// How the server of a request is chosen (nginx manual, `ngx_http_upstream_module`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest connections, by weight.
    LeastConn,
    /// By the client's address; backups are not possible with it.
    IpHash,
    /// Two at random, of these the one with fewer connections; backups are not possible with it.
    Random,
    /// By a key; backups are not possible with it.
    Hash {
        /// What is hashed.
        key: HashKey,
        /// Ketama, so that few keys move when a server comes or goes. Default: false.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        consistent: bool,
    },
}

/// What a hash balance hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HashKey {
    /// The request path and query.
    RequestUri,
    /// The client's address.
    RemoteAddr,
    /// The requested host.
    Host,
}

impl HashKey {
    /// The name of nginx's variable, without `$`.
    #[must_use]
    pub const fn nginx_name(self) -> &'static str {
        match self {
            Self::RequestUri => "request_uri",
            Self::RemoteAddr => "remote_addr",
            Self::Host => "host",
        }
    }
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UpstreamServer {
    /// Where it listens. A host name is resolved by nginx when it loads.
    pub address: UpstreamAddress,
    /// Its share, 1 to 65535. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// Used only when all others are down. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
    /// Not used at all. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub down: bool,
    /// Failures within `fail_timeout` after which it rests; 0 for never. Default: nginx's, 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fails: Option<u16>,
    /// How long failures are counted and how long it rests. Default: nginx's, 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_timeout: Option<Time>,
    /// Most connections at a time; 0 for no limit. Default: nginx's, 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_conns: Option<u32>,
}

//! A group of servers that requests are passed to.

use serde::{Deserialize, Serialize};

use super::{
    Document, HealthCheck, SameSite,
    value::{
        CookieDomain, CookiePath, HeaderVariable, ResourceName, SizeBytes, Time, UpstreamAddress,
        VariableName,
    },
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
    /// Idle connections kept open by each worker, 0 to 10000. All that ask the upstream
    /// share them, so they ask it in one way: over HTTP, HTTPS, gRPC or FastCGI, and with
    /// the same `tls`. Default: nginx's, none before 1.29.7 and then some for each
    /// location by itself (nginx: `keepalive`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<u32>,
    /// How long idle connections are kept. Default: nginx's.
    #[serde(default, skip_serializing_if = "KeepaliveLimits::is_default")]
    pub keepalive_limits: KeepaliveLimits,
    /// The memory in which workers share what they know of the servers, 32k to 1g;
    /// when it changes, that is forgotten. Default: by the number of servers, none
    /// for one (nginx: `zone`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_size: Option<SizeBytes>,
    /// Clients come back to the same server, by a cookie. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Box<Affinity>>,
    /// Who is asked for the addresses of servers with `resolve`. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<Resolver>,
    /// How agents look after the servers. Default: they do not, and nginx alone notices
    /// when requests fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<Box<HealthCheck>>,
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

/// How long idle connections to servers are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeepaliveLimits {
    /// For so many requests, 1 to 1000000. Default: nginx's, 1000 (nginx:
    /// `keepalive_requests`, 1.15.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// Idle. Default: nginx's, 60 s (nginx: `keepalive_timeout`, 1.15.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Time>,
    /// Altogether. Default: nginx's, 1 h (nginx: `keepalive_time`, 1.19.10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}

impl KeepaliveLimits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Clients come back to the same server. nginx sets the cookie itself from
/// 1.29.6 on (nginx: `sticky cookie`); older ones choose by what the cookie holds,
/// in place of `balance`, and leave it to the servers to set one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Affinity {
    /// The cookie's name.
    pub cookie: VariableName,
    /// How long browsers keep it. Default: until they are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// Default: the host asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<CookieDomain>,
    /// Default: the path asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<CookiePath>,
    /// Default: not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_site: Option<SameSite>,
    /// Over TLS only. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secure: bool,
    /// Not for scripts. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http_only: bool,
}

/// Who is asked for addresses (nginx: `resolver` in an upstream, 1.27.3).
///
/// An older nginx passes requests to a variable instead, where the upstream has one
/// server without `down`, `max_conns` and snippets: idle connections are not kept then
/// and failures not counted, which a plan tells. It is refused what else would use it:
/// streams, splits, mirrors, pages for errors and services that are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    /// Name servers with their ports, 1 to 10, for example `127.0.0.53:53`.
    pub servers: Vec<UpstreamAddress>,
    /// How long an answer counts. Default: as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<Time>,
    /// Ask for IPv4 addresses only. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ipv4_only: bool,
}

/// What a hash balance hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HashKey {
    /// The request path and query.
    RequestUri,
    /// The client's address.
    RemoteAddr,
    /// The requested host.
    Host,
    /// A header of the request: `{ header: X-User }`.
    Header(HeaderVariable),
    /// A cookie: `{ cookie: session }`.
    Cookie(VariableName),
    /// A parameter of the query: `{ query: user }`.
    Query(VariableName),
}

impl HashKey {
    /// The name of nginx's variable, without `$`.
    #[must_use]
    pub fn nginx_name(&self) -> String {
        match self {
            Self::RequestUri => "request_uri".to_owned(),
            Self::RemoteAddr => "remote_addr".to_owned(),
            Self::Host => "host".to_owned(),
            Self::Header(name) => format!("http_{}", name.variable()),
            Self::Cookie(name) => format!("cookie_{name}"),
            Self::Query(name) => format!("arg_{name}"),
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
    /// Ask for its addresses again and again, with the upstream's `resolver`.
    /// Default: false, only when nginx loads (nginx: `resolve`, 1.27.3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resolve: bool,
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

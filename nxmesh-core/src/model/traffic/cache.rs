//! Keeping responses of upstreams.

use serde::{Deserialize, Serialize};

use crate::model::value::{
    HeaderName, HeaderVariable, Method, SizeBytes, Time, UpstreamStatus, VariableName,
};

/// Keeps responses of upstreams and FastCGI servers on the agent's disk (nginx:
/// `proxy_cache`, `fastcgi_cache` and their kin). Each virtual host has a cache of its own; another size or key is
/// another cache, which starts empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// `none`: nothing is kept, whatever is said further out.
    None,
    /// `rules: …`: responses are kept so.
    Rules(Box<CacheRules>),
}

/// What is kept, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CacheRules {
    /// How much disk it may take. Default: 1g (nginx: `proxy_cache_path`, `max_size`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<SizeBytes>,
    /// The memory for keys, 32k to 1g; 1m holds about 8,000. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_size: Option<SizeBytes>,
    /// What nobody asked for so long goes. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive: Option<Time>,
    /// What tells responses apart beside scheme, host, path, query, the upstream that is
    /// asked and by which route, what it is told of who shows a key or a password or was let in
    /// by an external service, and with FastCGI the method: at most 10. Default: nothing (nginx: `proxy_cache_key`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<RequestPart>,
    /// How long responses are kept that do not say so themselves, at most 20.
    /// Default: they are not kept (nginx: `proxy_cache_valid`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub valid: Vec<CacheValidity>,
    /// Methods that are kept beside GET and HEAD: POST at most, whose body then tells
    /// responses apart too; one that does not fit into nginx's buffer goes past the cache.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// When an old response is sent rather than none; 502 and 504 of FastCGI servers
    /// do not lead to it. Default: never (nginx: `proxy_cache_use_stale`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub use_stale: Vec<StaleCase>,
    /// Ask the upstream once for what many want at a time. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lock: bool,
    /// Ask with `If-Modified-Since` and `If-None-Match`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revalidate: bool,
    /// Renew an old response behind the client's back; needs `use_stale:
    /// [updating]`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub background_update: bool,
    /// Keep a response once it was asked for so often, 1 to 1000. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_uses: Option<u16>,
    /// How long a request waits for what another asked for, with `lock`; then it asks
    /// itself, and its answer is not kept. Default: nginx's, 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_timeout: Option<Time>,
    /// How long the one that asks may take, with `lock`, until another asks too. Default:
    /// nginx's, 5s (nginx 1.7.8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_age: Option<Time>,
    /// Requests with any of these are neither answered from the cache nor kept,
    /// at most 10. Default: none (nginx: `proxy_cache_bypass` with `proxy_no_cache`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bypass: Vec<RequestPart>,
    /// Requests with any of these are not answered from the cache, and what the upstream
    /// answers to them is kept, at most 10. Default: none (nginx: `proxy_cache_bypass`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renew: Vec<RequestPart>,
    /// Requests with any of these may be answered from the cache, and what the upstream
    /// answers to them is not kept, at most 10. Default: none (nginx: `proxy_no_cache`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_kept: Vec<RequestPart>,
    /// Headers of responses that do not count here, at most 10, of
    /// `Cache-Control`, `Expires`, `Set-Cookie`, `Vary` and `X-Accel-Expires`.
    /// Ignoring `Set-Cookie` may show one client the cookie of another. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore_headers: Vec<HeaderName>,
    /// Tell in `X-Cache-Status` how it went. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub status_header: bool,
}

/// How long responses with some statuses are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CacheValidity {
    /// The statuses, at most 20. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<UpstreamStatus>,
    /// How long.
    pub time: Time,
}

/// A part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RequestPart {
    /// `{ header: Accept-Language }`
    Header(HeaderVariable),
    /// `{ cookie: session }`
    Cookie(VariableName),
    /// A parameter of the query: `{ query: page }`
    Query(VariableName),
}

/// When an old response is better than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StaleCase {
    /// The upstream cannot be reached.
    Error,
    /// It takes too long.
    Timeout,
    /// It answers nonsense.
    InvalidHeader,
    /// A new response is on its way.
    Updating,
    /// It answers 500.
    Http500,
    /// It answers 502.
    Http502,
    /// It answers 503.
    Http503,
    /// It answers 504.
    Http504,
    /// It answers 403.
    Http403,
    /// It answers 404.
    Http404,
    /// It answers 429.
    Http429,
}

impl StaleCase {
    /// The word nginx has for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::InvalidHeader => "invalid_header",
            Self::Updating => "updating",
            Self::Http500 => "http_500",
            Self::Http502 => "http_502",
            Self::Http503 => "http_503",
            Self::Http504 => "http_504",
            Self::Http403 => "http_403",
            Self::Http404 => "http_404",
            Self::Http429 => "http_429",
        }
    }
}

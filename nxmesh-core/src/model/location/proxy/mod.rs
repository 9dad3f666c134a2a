//! Passing requests to an upstream.

mod buffers;
mod forwarded;
mod response;
mod retry;
mod rewrite;
mod split;
mod tls;

use serde::{Deserialize, Serialize};

use super::RequestHeader;
use crate::model::value::{HeaderName, ResourceName, Time};
pub use buffers::Buffers;
pub use forwarded::{Forwarded, ForwardedPolicy};
pub use response::{
    CookieFlags, CookieRewrites, DomainRewrite, IgnoredHeader, PathRewrite, RedirectRewrite,
    Redirects, SameSite,
};
pub use retry::{Retry, RetryOn};
#[cfg(feature = "schema")]
pub(crate) use rewrite::RawRewrite;
pub use rewrite::{PathTemplate, Rewrite, TemplatePart};
pub use split::{Share, Split, SplitKey};
pub use tls::{TlsVersion, Trust, UpstreamTls};

/// Passing requests to an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// The Upstream resource.
    pub upstream: ResourceName,
    /// Shares of the requests that go to other upstreams. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Box<Split>>,
    /// How the upstream is spoken to. Default: `http`.
    #[serde(default, skip_serializing_if = "UpstreamScheme::is_http")]
    pub scheme: UpstreamScheme,
    /// How TLS is spoken with scheme `https`. Default: nothing is verified and
    /// the requested host is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<UpstreamTls>>,
    /// The version of HTTP. Default: `HTTP/1.1` (nginx: `proxy_http_version`).
    #[serde(default, skip_serializing_if = "HttpVersion::is_1_1")]
    pub http_version: HttpVersion,
    /// Let clients upgrade to WebSocket; needs HTTP/1.1. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub websocket: bool,
    /// Send probes over idle connections to the upstream. Default: nginx's,
    /// false (nginx: `proxy_socket_keepalive`, 1.15.6).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub socket_keepalive: bool,
    /// Default: nginx's, 60 s each.
    #[serde(default, skip_serializing_if = "ProxyTimeouts::is_default")]
    pub timeouts: ProxyTimeouts,
    /// The path that is asked for. Default: the one of the request, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Box<Rewrite>>,
    /// `X-Forwarded-…` and `X-Real-IP`. Default: `append`, whoever the client is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Box<Forwarded>>,
    /// Request headers set beside `Host` and those of `forwarded`, which are
    /// sent unless set here (nginx: `proxy_set_header`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<RequestHeader>,
    /// Whether responses are buffered. Default: nginx's, true (nginx: `proxy_buffering`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffering: Option<bool>,
    /// Whether a request is read as a whole before it is passed on. Default:
    /// nginx's, true (nginx: `proxy_request_buffering`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_buffering: Option<bool>,
    /// The memory and files for buffering. Default: nginx's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffers: Option<Box<Buffers>>,
    /// When another server of the upstream is asked. Default: nginx's, when one
    /// cannot be reached or does not answer in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<Retry>>,
    /// What becomes of `Location` and `Refresh` in responses. Default: `default`.
    #[serde(default, skip_serializing_if = "Redirects::is_default")]
    pub redirects: Redirects,
    /// What becomes of cookies in responses. Default: they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookies: Option<Box<CookieRewrites>>,
    /// Response headers that are not passed to clients (nginx: `proxy_hide_header`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hide_headers: Vec<HeaderName>,
    /// Response headers that are passed although nginx would not, such as
    /// `Server` and `Date` (nginx: `proxy_pass_header`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_headers: Vec<HeaderName>,
    /// Response headers nginx does not act on (nginx: `proxy_ignore_headers`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore_headers: Vec<IgnoredHeader>,
}

/// How an upstream is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UpstreamScheme {
    /// Plain HTTP.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
}

impl UpstreamScheme {
    /// What stands before `://`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(in crate::model) fn is_http(&self) -> bool {
        *self == Self::Http
    }
}

/// The version of HTTP that an upstream is spoken to with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HttpVersion {
    /// A connection for each request.
    #[serde(rename = "HTTP/1.0")]
    Http10,
    /// Connections that may be kept.
    #[default]
    #[serde(rename = "HTTP/1.1")]
    Http11,
}

impl HttpVersion {
    fn is_1_1(&self) -> bool {
        *self == Self::Http11
    }
}

/// Timeouts of a proxied request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProxyTimeouts {
    /// Until the connection stands (nginx: `proxy_connect_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Time>,
    /// Between two reads (nginx: `proxy_read_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Time>,
    /// Between two writes (nginx: `proxy_send_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Time>,
}

impl ProxyTimeouts {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

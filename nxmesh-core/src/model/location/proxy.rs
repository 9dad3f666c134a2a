//! Passing requests to an upstream.

use serde::{Deserialize, Serialize};

use super::RequestHeader;
use crate::model::value::{ResourceName, Time};

/// Passing requests to an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// The Upstream resource.
    pub upstream: ResourceName,
    /// How the upstream is spoken to. Default: `http`.
    #[serde(default, skip_serializing_if = "UpstreamScheme::is_http")]
    pub scheme: UpstreamScheme,
    /// Let clients upgrade to WebSocket. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub websocket: bool,
    /// Default: nginx's, 60 s each.
    #[serde(default, skip_serializing_if = "ProxyTimeouts::is_default")]
    pub timeouts: ProxyTimeouts,
    /// Request headers set beside `Host`, `X-Forwarded-For`, `X-Forwarded-Proto`
    /// and `X-Real-IP`, which are always sent unless set here (nginx: `proxy_set_header`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<RequestHeader>,
    /// Whether responses are buffered. Default: nginx's, true (nginx: `proxy_buffering`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffering: Option<bool>,
}

/// How an upstream is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UpstreamScheme {
    /// Plain HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over TLS; the certificate is not verified.
    Https,
}

impl UpstreamScheme {
    fn is_http(&self) -> bool {
        *self == Self::Http
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
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

//! Passing gRPC requests to an upstream.

use serde::{Deserialize, Serialize};

use super::{Forwarded, ProxyTimeouts, RequestHeader, Retry, UpstreamScheme, UpstreamTls};
use crate::model::value::{HeaderName, ResourceName, SizeBytes};

/// Passing gRPC requests to an upstream over HTTP/2 (nginx 1.13.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// The Upstream resource.
    pub upstream: ResourceName,
    /// How the upstream is spoken to. Default: `http`.
    #[serde(default, skip_serializing_if = "UpstreamScheme::is_http")]
    pub scheme: UpstreamScheme,
    /// How TLS is spoken with scheme `https`. Default: nothing is verified and
    /// the requested host is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<UpstreamTls>>,
    /// Default: nginx's, 60 s each; long streams need longer ones.
    #[serde(default, skip_serializing_if = "ProxyTimeouts::is_default")]
    pub timeouts: ProxyTimeouts,
    /// `X-Forwarded-…` and `X-Real-IP`. Default: `append`, whoever the client is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Box<Forwarded>>,
    /// Request headers set beside `Host` and those of `forwarded`, which are sent
    /// unless set here (nginx: `grpc_set_header`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<RequestHeader>,
    /// Send probes over idle connections to the upstream. Default: nginx's,
    /// false (nginx: `grpc_socket_keepalive`, 1.15.6).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub socket_keepalive: bool,
    /// For reading responses, 1k to 1m. Default: nginx's, a page of memory
    /// (nginx: `grpc_buffer_size`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<SizeBytes>,
    /// When another server of the upstream is asked (nginx: `grpc_next_upstream`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<Retry>>,
    /// Response headers that are not passed to clients (nginx: `grpc_hide_header`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hide_headers: Vec<HeaderName>,
    /// Give nginx's own errors to clients as errors of HTTP. Default: false:
    /// they are told as a status of gRPC, which clients expect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http_errors: bool,
}

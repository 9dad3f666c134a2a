//! Headers of requests to upstreams and of responses to clients.

use serde::{Deserialize, Serialize};

use crate::model::value::{HeaderName, HeaderValue, ValueError};

/// A header of the request to the upstream; exactly one of `value`, `variable`, `append` and `remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRequestHeader", into = "RawRequestHeader")]
pub struct RequestHeader {
    /// The header's name.
    pub name: HeaderName,
    /// What it is set to.
    pub value: RequestHeaderValue,
}

/// What a request header is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestHeaderValue {
    /// This text.
    Text(HeaderValue),
    /// What nginx knows about the request.
    Variable(Variable),
    /// What the client sent, and behind it, after a comma, this text.
    Append(HeaderValue),
    /// The header is not sent.
    Remove,
}

/// What nginx knows about a request; named after its variables
/// (nginx manual, "Alphabetical index of variables").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Variable {
    /// The requested host name, lower case.
    Host,
    /// The `Host` header as sent.
    HttpHost,
    /// The client's address.
    RemoteAddr,
    /// The client's port.
    RemotePort,
    /// `http` or `https`.
    Scheme,
    /// The port of the server.
    ServerPort,
    /// The name of the server.
    ServerName,
    /// The request path and query as sent.
    RequestUri,
    /// A random identifier of the request.
    RequestId,
    /// `X-Forwarded-For` as received, with the client's address appended.
    ProxyAddXForwardedFor,
    /// The version of HTTP the client speaks: `HTTP/1.1`.
    ServerProtocol,
}

impl Variable {
    /// The name of nginx's variable, without `$`.
    #[must_use]
    pub const fn nginx_name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::HttpHost => "http_host",
            Self::RemoteAddr => "remote_addr",
            Self::RemotePort => "remote_port",
            Self::Scheme => "scheme",
            Self::ServerPort => "server_port",
            Self::ServerName => "server_name",
            Self::RequestUri => "request_uri",
            Self::RequestId => "request_id",
            Self::ProxyAddXForwardedFor => "proxy_add_x_forwarded_for",
            Self::ServerProtocol => "server_protocol",
        }
    }
}

/// A request header as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRequestHeader {
    /// The header's name.
    name: HeaderName,
    /// This text. Exactly one of value, variable, append and remove is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<HeaderValue>,
    /// What nginx knows about the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variable: Option<Variable>,
    /// This text behind what the client sent, with a comma between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    append: Option<HeaderValue>,
    /// Do not send the header.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    remove: bool,
}

impl TryFrom<RawRequestHeader> for RequestHeader {
    type Error = ValueError;

    fn try_from(raw: RawRequestHeader) -> Result<Self, ValueError> {
        let value = match (raw.value, raw.variable, raw.append, raw.remove) {
            (Some(text), None, None, false) => RequestHeaderValue::Text(text),
            (None, Some(variable), None, false) => RequestHeaderValue::Variable(variable),
            (None, None, Some(text), false) => RequestHeaderValue::Append(text),
            (None, None, None, true) => RequestHeaderValue::Remove,
            _ => {
                return Err(ValueError {
                    rule: "a request header has exactly one of value, variable, append and remove: true",
                    example: "{ name: X-Request-Id, variable: request_id }",
                });
            }
        };
        Ok(Self {
            name: raw.name,
            value,
        })
    }
}

impl From<RequestHeader> for RawRequestHeader {
    fn from(header: RequestHeader) -> Self {
        let mut raw = Self {
            name: header.name,
            value: None,
            variable: None,
            append: None,
            remove: false,
        };
        match header.value {
            RequestHeaderValue::Text(text) => raw.value = Some(text),
            RequestHeaderValue::Variable(variable) => raw.variable = Some(variable),
            RequestHeaderValue::Append(text) => raw.append = Some(text),
            RequestHeaderValue::Remove => raw.remove = true,
        }
        raw
    }
}

/// A header added to responses (nginx: `add_header`), beside one of the same name that an
/// upstream sends, unless its `hide_headers` has that. `Last-Modified` and `ETag` take the
/// place of others. What nginx sends itself has fields of its own: `Content-Type`, `Server`,
/// `Date`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResponseHeader {
    /// The header's name.
    pub name: HeaderName,
    /// The header's value.
    pub value: HeaderValue,
    /// Add it to error responses too. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub always: bool,
}

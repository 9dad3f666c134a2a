//! Locations of a virtual host and what they do.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::document::FieldError;

use super::{
    Traffic, TrafficSettings,
    traffic::Splitting,
    value::{
        ContentType, FilePath, HeaderName, HeaderValue, IndexName, LocationPath, RedirectCode,
        RedirectTarget, RegexPattern, ResourceName, ResponseBody, StatusCode, Time, ValueError,
    },
};

/// A path and what is done with requests for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "RawLocation")]
pub struct Location {
    /// Which request paths it is for.
    pub path: PathMatch,
    /// What is done with them.
    pub action: Action,
    /// How its requests are treated; what it says nothing about is as the
    /// virtual host says.
    pub traffic: Traffic,
}

/// How a request path is compared (nginx manual, `location`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// `exact`: the whole path.
    Exact(LocationPath),
    /// `prefix`: the longest matching prefix, unless a pattern matches too.
    Prefix(LocationPath),
    /// `prefix_priority`: the longest matching prefix, before any pattern.
    PrefixPriority(LocationPath),
    /// `regex`: a case-sensitive pattern; the first in order of writing wins.
    Regex(RegexPattern),
    /// `regex_ignore_case`: the same, without regard to case.
    RegexIgnoreCase(RegexPattern),
}

impl PathMatch {
    /// The path or pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Prefix(path) | Self::PrefixPriority(path) => path.as_str(),
            Self::Regex(pattern) | Self::RegexIgnoreCase(pattern) => pattern.as_str(),
        }
    }
}

/// What a location does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Passes requests to an upstream.
    Proxy(Proxy),
    /// Serves files.
    Static(StaticFiles),
    /// Redirects.
    Redirect(Redirect),
    /// Answers with a fixed response.
    Respond(Respond),
}

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

/// A header of the request to the upstream; exactly one of `value` and `variable`.
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
        }
    }
}

/// Serving files from the agent's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StaticFiles {
    /// The folder the request path is looked up in (nginx: `root`).
    pub root: FilePath,
    /// Files tried for a folder. Default: nginx's, `index.html` (nginx: `index`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub index: Vec<IndexName>,
}

/// A redirect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// Where to.
    pub to: RedirectTarget,
    /// Default: 302.
    #[serde(default = "found")]
    pub code: RedirectCode,
    /// Append the request's path and query to the target. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append_request_uri: bool,
}

fn found() -> RedirectCode {
    RedirectCode::new(302).unwrap_or_else(|_| unreachable!("302 is a redirect code"))
}

/// A fixed response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// 200 to 299 or 400 to 599.
    pub status: StatusCode,
    /// Default: empty.
    #[serde(default)]
    pub body: ResponseBody,
    /// Default: `text/plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentType>,
}

/// A header added to responses (nginx: `add_header`).
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

/// A location as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLocation {
    /// The path or pattern that is compared with the request's path.
    path: String,
    /// How it is compared. Default: `prefix` (nginx: `location`).
    #[serde(default, rename = "match", skip_serializing_if = "RawMatch::is_prefix")]
    kind: RawMatch,
    /// Passes requests to an upstream. Exactly one of proxy, static, redirect and respond is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy: Option<Proxy>,
    /// Serves files from the agent's machine.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    files: Option<StaticFiles>,
    /// Redirects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect: Option<Redirect>,
    /// Answers with a fixed response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    respond: Option<Respond>,
    #[serde(flatten, skip_deserializing)]
    traffic: Traffic,
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = TrafficSettings::default();
        let mut raw = RawLocation::deserialize(Splitting {
            inner: deserializer,
            settings: &mut settings,
        })?;
        raw.traffic = settings.into();
        raw.try_into().map_err(de::Error::custom)
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum RawMatch {
    #[default]
    Prefix,
    Exact,
    PrefixPriority,
    Regex,
    RegexIgnoreCase,
}

impl RawMatch {
    fn is_prefix(&self) -> bool {
        *self == Self::Prefix
    }
}

/// What is wrong with a location: with its path, or with the whole of it.
#[derive(Debug)]
pub(crate) enum LocationError {
    Path(FieldError),
    Action(ValueError),
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => error.fmt(f),
            Self::Action(error) => error.fmt(f),
        }
    }
}

impl RawMatch {
    fn of(self, path: &str) -> Result<PathMatch, ValueError> {
        Ok(match self {
            Self::Exact => PathMatch::Exact(path.parse()?),
            Self::Prefix => PathMatch::Prefix(path.parse()?),
            Self::PrefixPriority => PathMatch::PrefixPriority(path.parse()?),
            Self::Regex => PathMatch::Regex(path.parse()?),
            Self::RegexIgnoreCase => PathMatch::RegexIgnoreCase(path.parse()?),
        })
    }
}

impl TryFrom<RawLocation> for Location {
    type Error = LocationError;

    fn try_from(raw: RawLocation) -> Result<Self, LocationError> {
        let path = raw.kind.of(&raw.path).map_err(|error| {
            let field = "path";
            LocationError::Path(FieldError { field, error })
        })?;
        let action = match (raw.proxy, raw.files, raw.redirect, raw.respond) {
            (Some(proxy), None, None, None) => Action::Proxy(proxy),
            (None, Some(files), None, None) => Action::Static(files),
            (None, None, Some(redirect), None) => Action::Redirect(redirect),
            (None, None, None, Some(respond)) => Action::Respond(respond),
            _ => {
                return Err(LocationError::Action(ValueError {
                    rule: "a location has exactly one of proxy, static, redirect and respond",
                    example: "{ path: /, proxy: { upstream: shop-backend } }",
                }));
            }
        };
        Ok(Self {
            path,
            action,
            traffic: raw.traffic,
        })
    }
}

impl From<Location> for RawLocation {
    fn from(location: Location) -> Self {
        let kind = match &location.path {
            PathMatch::Exact(_) => RawMatch::Exact,
            PathMatch::Prefix(_) => RawMatch::Prefix,
            PathMatch::PrefixPriority(_) => RawMatch::PrefixPriority,
            PathMatch::Regex(_) => RawMatch::Regex,
            PathMatch::RegexIgnoreCase(_) => RawMatch::RegexIgnoreCase,
        };
        let mut raw = Self {
            path: location.path.as_str().to_owned(),
            kind,
            proxy: None,
            files: None,
            redirect: None,
            respond: None,
            traffic: location.traffic,
        };
        match location.action {
            Action::Proxy(proxy) => raw.proxy = Some(proxy),
            Action::Static(files) => raw.files = Some(files),
            Action::Redirect(redirect) => raw.redirect = Some(redirect),
            Action::Respond(respond) => raw.respond = Some(respond),
        }
        raw
    }
}

/// A request header as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRequestHeader {
    /// The header's name.
    name: HeaderName,
    /// This text. Exactly one of value, variable and remove is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<HeaderValue>,
    /// What nginx knows about the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variable: Option<Variable>,
    /// Do not send the header.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    remove: bool,
}

impl TryFrom<RawRequestHeader> for RequestHeader {
    type Error = ValueError;

    fn try_from(raw: RawRequestHeader) -> Result<Self, ValueError> {
        let value = match (raw.value, raw.variable, raw.remove) {
            (Some(text), None, false) => RequestHeaderValue::Text(text),
            (None, Some(variable), false) => RequestHeaderValue::Variable(variable),
            (None, None, true) => RequestHeaderValue::Remove,
            _ => {
                return Err(ValueError {
                    rule: "a request header has exactly one of value, variable and remove: true",
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
            remove: false,
        };
        match header.value {
            RequestHeaderValue::Text(text) => raw.value = Some(text),
            RequestHeaderValue::Variable(variable) => raw.variable = Some(variable),
            RequestHeaderValue::Remove => raw.remove = true,
        }
        raw
    }
}

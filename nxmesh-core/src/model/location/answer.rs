//! Answers that nginx gives itself.

use serde::{Deserialize, Serialize};

use crate::model::value::{
    ContentType, HostName, Port, RedirectCode, RedirectTarget, ResponseBody, StatusCode, UriPath,
    ValueError,
};

/// A redirect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRedirect", into = "RawRedirect")]
pub struct Redirect {
    /// Where to.
    pub to: RedirectTo,
    /// Default: 302.
    pub code: RedirectCode,
    /// Whether a path is sent as a whole URL.
    pub absolute: bool,
}

/// Where a redirect leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectTo {
    /// To one target.
    Target {
        /// A URL or a path.
        target: RedirectTarget,
        /// Append the request's path and query.
        append_request_uri: bool,
    },
    /// To the requested URL, of which some parts are changed.
    Parts(Box<RedirectParts>),
}

/// The parts of the requested URL that are changed; at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedirectParts {
    /// Another scheme.
    pub scheme: Option<RedirectScheme>,
    /// Another host.
    pub host: Option<HostName>,
    /// Another port.
    pub port: Option<Port>,
    /// Another path.
    pub path: Option<RedirectPath>,
    /// Leave the query out; only with a whole other path.
    pub drop_query: bool,
}

/// How a path is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectPath {
    /// It is this one.
    Whole(UriPath),
    /// The path of the location, where the request's path begins with it, is
    /// replaced by this.
    Prefix(UriPath),
}

/// The scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RedirectScheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl RedirectScheme {
    /// The scheme as it is written in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A redirect as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRedirect {
    /// Where to. Either this is there, or some of scheme, host, port, path and
    /// prefix, which change the requested URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<RedirectTarget>,
    /// Default: 302.
    #[serde(default = "found")]
    code: RedirectCode,
    /// Append the request's path and query to `to`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    append_request_uri: bool,
    /// Another scheme. Default: the one of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheme: Option<RedirectScheme>,
    /// Another host. Default: the requested one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<HostName>,
    /// Another port. Default: the one of the scheme, if scheme or host are said,
    /// else the one of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<Port>,
    /// Another path, with the query of the request. Default: the one of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<UriPath>,
    /// What the path of the location is replaced by in the path of the request;
    /// with code 301 or 302, and not for a location with a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<UriPath>,
    /// Leave the query out; needs path. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    drop_query: bool,
    /// Send a path as a whole URL: of the scheme, the requested host and the port that
    /// nginx listens on. Default: false, a path is sent as it is (nginx:
    /// `absolute_redirect`, 1.11.8).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    absolute: bool,
}

fn found() -> RedirectCode {
    RedirectCode::new(302).unwrap_or_else(|_| unreachable!("302 is a redirect code"))
}

impl TryFrom<RawRedirect> for Redirect {
    type Error = ValueError;

    fn try_from(raw: RawRedirect) -> Result<Self, ValueError> {
        let path = match (raw.path, raw.prefix) {
            (Some(path), None) => Some(RedirectPath::Whole(path)),
            (None, Some(prefix)) => Some(RedirectPath::Prefix(prefix)),
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err(ValueError {
                    rule: "a redirect has path or prefix, not both",
                    example: "{ prefix: /new/ }",
                });
            }
        };
        let parts = RedirectParts {
            scheme: raw.scheme,
            host: raw.host,
            port: raw.port,
            path,
            drop_query: raw.drop_query,
        };
        let to = match raw.to {
            Some(target) if parts == RedirectParts::default() => RedirectTo::Target {
                target,
                append_request_uri: raw.append_request_uri,
            },
            None if parts != RedirectParts::default() && !raw.append_request_uri => {
                RedirectTo::Parts(Box::new(parts))
            }
            _ => {
                return Err(ValueError {
                    rule: "a redirect has either to, or some of scheme, host, port, path and prefix",
                    example: "{ scheme: https, host: shop.example.com }",
                });
            }
        };
        Ok(Self {
            to,
            code: raw.code,
            absolute: raw.absolute,
        })
    }
}

impl From<Redirect> for RawRedirect {
    fn from(redirect: Redirect) -> Self {
        let mut raw = Self {
            to: None,
            append_request_uri: false,
            scheme: None,
            host: None,
            port: None,
            path: None,
            prefix: None,
            drop_query: false,
            code: redirect.code,
            absolute: redirect.absolute,
        };
        match redirect.to {
            RedirectTo::Target {
                target,
                append_request_uri,
            } => {
                raw.to = Some(target);
                raw.append_request_uri = append_request_uri;
            }
            RedirectTo::Parts(parts) => {
                raw.scheme = parts.scheme;
                raw.host = parts.host;
                raw.port = parts.port;
                raw.drop_query = parts.drop_query;
                match parts.path {
                    Some(RedirectPath::Whole(path)) => raw.path = Some(path),
                    Some(RedirectPath::Prefix(prefix)) => raw.prefix = Some(prefix),
                    None => {}
                }
            }
        }
        raw
    }
}

/// A fixed response; `response_headers` of its location are sent with it.
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
    /// Take the type from the extension of the request's path where the list of media
    /// types has it, as for files. Default: false, `content_type` counts for all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub type_by_extension: bool,
}

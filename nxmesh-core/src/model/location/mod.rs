//! Locations of a virtual host and what they do.

mod answer;
mod fastcgi;
mod files;
mod grpc;
mod headers;
mod proxy;
mod route;
mod written;

use serde::Serialize;

use super::{
    Traffic,
    value::{LocationPath, RegexPattern},
};
#[cfg(feature = "schema")]
pub(crate) use answer::RawRedirect;
pub use answer::{Redirect, RedirectParts, RedirectPath, RedirectScheme, RedirectTo, Respond};
#[cfg(feature = "schema")]
pub(crate) use fastcgi::RawParam;
pub use fastcgi::{FastCgi, Param, ParamValue};
#[cfg(feature = "schema")]
pub(crate) use files::RawStaticFiles;
pub use files::{Expires, Folder, Otherwise, StaticFiles, Tries, TryPart};
pub use grpc::Grpc;
#[cfg(feature = "schema")]
pub(crate) use headers::RawRequestHeader;
pub use headers::{RequestHeader, RequestHeaderValue, ResponseHeader, Variable};
#[cfg(feature = "schema")]
pub(crate) use proxy::RawRewrite;
pub use proxy::{
    Buffers, CookieFlags, CookieRewrites, DomainRewrite, Forwarded, ForwardedPolicy, HttpVersion,
    IgnoredHeader, PathRewrite, PathTemplate, Proxy, ProxyTimeouts, RedirectRewrite, Redirects,
    Retry, RetryOn, Rewrite, SameSite, Share, Split, SplitKey, TemplatePart, TlsVersion, Trust,
    UpstreamScheme, UpstreamTls,
};
pub use route::{Condition, FieldMatch, Route, TextMatch};
pub(crate) use written::RawLocation;
#[cfg(feature = "schema")]
pub(crate) use written::RawRoute;

/// A path and what is done with requests for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "RawLocation")]
pub struct Location {
    /// Which request paths it is for.
    pub path: PathMatch,
    /// What is done with them.
    pub action: Action,
    /// What is done with some of them instead; the first that is for a request
    /// counts. At most 20, with 60 conditions together.
    pub routes: Vec<Route>,
    /// The virtual host's `response_headers` are not sent with its answers; what is
    /// sent for TLS is.
    pub own_response_headers_only: bool,
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
    /// Passes gRPC requests to an upstream.
    Grpc(Box<Grpc>),
    /// Passes requests to a FastCGI server.
    FastCgi(Box<FastCgi>),
    /// Serves files.
    Static(StaticFiles),
    /// Redirects.
    Redirect(Redirect),
    /// Answers with a fixed response.
    Respond(Respond),
}

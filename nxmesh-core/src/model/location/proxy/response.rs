//! What becomes of the headers of an upstream's response.

use serde::{Deserialize, Serialize};

use crate::model::value::{CookieDomain, CookiePath, RedirectTarget, VariableName};

/// What becomes of `Location` and `Refresh` in responses (nginx: `proxy_redirect`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Redirects {
    /// As nginx does: the address of the upstream becomes the path of the location.
    #[default]
    Default,
    /// They stay as they are.
    AsSent,
    /// The first whose `from` they begin with is replaced by its `to`; 1 to 50.
    Rewrite(Vec<RedirectRewrite>),
}

impl Redirects {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::Default
    }
}

/// A beginning of `Location` and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RedirectRewrite {
    /// What the upstream sent begins with this.
    pub from: RedirectTarget,
    /// What clients get there.
    pub to: RedirectTarget,
}

/// What becomes of cookies that the upstream sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CookieRewrites {
    /// Domains that are replaced, at most 50 (nginx: `proxy_cookie_domain`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainRewrite>,
    /// Beginnings of paths that are replaced, at most 50 (nginx: `proxy_cookie_path`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathRewrite>,
    /// Attributes that are set, at most 50; the first for a cookie counts (nginx:
    /// `proxy_cookie_flags`, 1.19.3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<CookieFlags>,
}

/// A domain of cookies and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DomainRewrite {
    /// What the upstream says.
    pub from: CookieDomain,
    /// What clients get.
    pub to: CookieDomain,
}

/// A beginning of the path of cookies and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PathRewrite {
    /// What the upstream says begins with this.
    pub from: CookiePath,
    /// What clients get there.
    pub to: CookiePath,
}

/// Attributes that cookies get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CookieFlags {
    /// The cookie. Default: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<VariableName>,
    /// Only over TLS. Default: as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secure: bool,
    /// Not for scripts. Default: as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http_only: bool,
    /// Whether other sites' requests have it. Default: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_site: Option<SameSite>,
}

/// Whether requests that other sites lead to have a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// None of them.
    Strict,
    /// Those that open a page.
    Lax,
    /// All of them.
    None,
}

/// A header of responses that nginx acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum IgnoredHeader {
    /// Leads to another location.
    #[serde(rename = "X-Accel-Redirect")]
    AccelRedirect,
    /// How long a response is cached.
    #[serde(rename = "X-Accel-Expires")]
    AccelExpires,
    /// How fast a response is sent.
    #[serde(rename = "X-Accel-Limit-Rate")]
    AccelLimitRate,
    /// Whether a response is buffered.
    #[serde(rename = "X-Accel-Buffering")]
    AccelBuffering,
    /// The character set of a response.
    #[serde(rename = "X-Accel-Charset")]
    AccelCharset,
    /// How long a response is cached.
    #[serde(rename = "Expires")]
    Expires,
    /// How long a response is cached.
    #[serde(rename = "Cache-Control")]
    CacheControl,
    /// Keeps a response from being cached.
    #[serde(rename = "Set-Cookie")]
    SetCookie,
    /// Which requests a cached response is for.
    #[serde(rename = "Vary")]
    Vary,
}

impl IgnoredHeader {
    /// The name of the header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccelRedirect => "X-Accel-Redirect",
            Self::AccelExpires => "X-Accel-Expires",
            Self::AccelLimitRate => "X-Accel-Limit-Rate",
            Self::AccelBuffering => "X-Accel-Buffering",
            Self::AccelCharset => "X-Accel-Charset",
            Self::Expires => "Expires",
            Self::CacheControl => "Cache-Control",
            Self::SetCookie => "Set-Cookie",
            Self::Vary => "Vary",
        }
    }
}

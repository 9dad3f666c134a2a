//! When another server is asked.

use serde::{Deserialize, Serialize};

use crate::model::value::Time;

/// When another server of the upstream is asked (nginx: `proxy_next_upstream`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// What leads to another server; empty for nothing. Default: `error` and `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<RetryOn>>,
    /// Repeat requests too that may do something twice (`POST`, `LOCK`, `PATCH`).
    /// Default: false (nginx: `non_idempotent`, 1.9.13).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub non_idempotent: bool,
    /// How often at most, the first time counted, 1 to 100. Default: nginx's, as
    /// often as there are servers (nginx: `proxy_next_upstream_tries`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u16>,
    /// Not later than this after the first. Default: nginx's, no limit
    /// (nginx: `proxy_next_upstream_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Time>,
}

/// What leads to another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// It could not be reached, or broke off before its answer.
    Error,
    /// It did not answer in time.
    Timeout,
    /// Its answer was empty or not HTTP.
    InvalidHeader,
    /// It answered 500.
    #[serde(rename = "http_500")]
    Http500,
    /// It answered 502.
    #[serde(rename = "http_502")]
    Http502,
    /// It answered 503.
    #[serde(rename = "http_503")]
    Http503,
    /// It answered 504.
    #[serde(rename = "http_504")]
    Http504,
    /// It answered 403.
    #[serde(rename = "http_403")]
    Http403,
    /// It answered 404.
    #[serde(rename = "http_404")]
    Http404,
    /// It answered 429 (nginx 1.11.13).
    #[serde(rename = "http_429")]
    Http429,
}

impl RetryOn {
    /// nginx's word for it.
    #[must_use]
    pub const fn nginx_name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::InvalidHeader => "invalid_header",
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

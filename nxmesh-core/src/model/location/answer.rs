//! Answers that nginx gives itself.

use serde::{Deserialize, Serialize};

use crate::model::value::{ContentType, RedirectCode, RedirectTarget, ResponseBody, StatusCode};

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

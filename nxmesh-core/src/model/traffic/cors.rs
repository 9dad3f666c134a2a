//! Which pages of other origins may read responses.

use serde::{Deserialize, Serialize};

use crate::model::value::{CorsOrigin, HeaderName, Method, Time};

/// Cross-origin resource sharing (Fetch standard, section 3.2). Preflight
/// requests of allowed origins are answered with 204, before any limit and any
/// question for credentials; an origin that is not allowed is never named.
/// What the upstream says about it is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Who may read: 1 to 100 origins, of which `*` is any.
    pub origins: Vec<CorsOrigin>,
    /// Methods beside GET, HEAD and POST, at most 20. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// Request headers that may be sent, at most 100. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderName>,
    /// Response headers that may be read, at most 100. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<HeaderName>,
    /// Whether cookies may be sent; not with the origin `*`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub credentials: bool,
    /// How long browsers remember, in whole seconds. Default: theirs, 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Time>,
}

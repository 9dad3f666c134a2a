//! Who has to show who they are.

use serde::{Deserialize, Serialize};

use crate::model::value::{HeaderVariable, RedirectTarget, RequestTarget, ResourceName};

/// Whether all of the conditions on clients have to hold, or one: `access`
/// and `external_auth` (nginx: `satisfy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Satisfy {
    /// Every one.
    #[default]
    All,
    /// One of them.
    Any,
}

/// Another service decides about each request: 2xx lets it in, 401 and 403 do
/// not (nginx: `auth_request`, module `http_auth_request_module`). It gets the
/// request's headers without its body, and `X-Original-Method`,
/// `X-Original-URI`, `X-Original-Host` and `X-Real-IP`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExternalAuth {
    /// `none`: nobody is asked, whatever is said further out.
    None,
    /// `service: …`: this service is asked.
    Service(AuthService),
}

/// A service that decides about requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AuthService {
    /// The Upstream that is asked, over plain HTTP.
    pub upstream: ResourceName,
    /// The path there.
    pub path: RequestTarget,
    /// Headers of its answer that are added to the request to the upstream, and
    /// taken off what the client sent under these names; at most 20. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy_headers: Vec<HeaderVariable>,
    /// Where clients without credentials (401) are sent, with the URL they asked
    /// for behind it. Default: they get the 401. For example
    /// `https://login.example.com/?back=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<RedirectTarget>,
}

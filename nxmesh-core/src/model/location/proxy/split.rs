//! Requests that go to other upstreams by share.

use serde::{Deserialize, Serialize};

use crate::model::value::{HeaderName, Percent, ResourceName, VariableName};

/// Shares of the requests that go to other upstreams; the rest stays with the
/// upstream of the proxy (nginx: `split_clients`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// What decides; requests with the same go to the same. Default: `remote_addr`.
    #[serde(default)]
    pub key: SplitKey,
    /// 1 to 20; at most 100% together.
    pub shares: Vec<Share>,
}

/// A share of the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The Upstream resource.
    pub upstream: ResourceName,
    /// How much of the requests, in steps of 0.01.
    pub percent: Percent,
}

/// What decides where a request goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SplitKey {
    /// The client's address.
    #[default]
    RemoteAddr,
    /// Each request is for itself (nginx 1.11.0).
    RequestId,
    /// A header: `{ header: X-User }`; the client's address where it is missing.
    Header(HeaderName),
    /// A cookie: `{ cookie: session }`; the client's address where it is missing.
    Cookie(VariableName),
}

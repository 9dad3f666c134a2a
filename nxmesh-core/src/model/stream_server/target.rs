//! Where sessions go.

use serde::{Deserialize, Serialize};

use crate::model::{
    Share,
    value::{ResourceName, ServerName},
};

/// Shares of the clients, by their addresses, that go to other upstreams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StreamSplit {
    /// 1 to 20; at most 100% together.
    pub shares: Vec<Share>,
}

/// Upstreams by the name that clients ask for (TLS, server name indication).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouteByName {
    /// 1 to 1000.
    pub routes: Vec<NamedRoute>,
    /// The Upstream of those who ask for another name, or for none. Default: their
    /// connections are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<ResourceName>,
}

/// An upstream for some names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NamedRoute {
    /// Names, 1 to 100: whole ones, `db.example.com`, or with a wildcard at their
    /// beginning or end, `*.example.com`. Each stands once in a stream server.
    pub server_names: Vec<ServerName>,
    /// The Upstream resource.
    pub upstream: ResourceName,
}

//! Who is turned away, and when everybody is.

use serde::{Deserialize, Serialize};

use crate::model::value::{Network, RefusalCode, RegexPattern, ResponseBody, Time};

/// Clients that are turned away before anything else is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// By their address, at most 10000 networks. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    /// By what `User-Agent` says, whatever its case: at most 100 patterns. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_agents: Vec<RegexPattern>,
    /// By what `Referer` says, whatever its case: at most 100 patterns. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referers: Vec<RegexPattern>,
    /// What they get; 444 for a closed connection without a word. Default: 403.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RefusalCode>,
}

/// Everybody is asked to come back later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Whether it is so; false switches off what is said further out. Default: true.
    #[serde(default = "super::on", skip_serializing_if = "Clone::clone")]
    pub enabled: bool,
    /// What is said, as plain text. Default: nginx's page for 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<ResponseBody>,
    /// When to come back, sent as `Retry-After` in whole seconds. Default: not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Time>,
    /// Who is served all the same, at most 1000 networks. Default: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Network>,
}

//! Which clients are let in, by their address.

use serde::{Deserialize, Serialize};

use crate::model::{AccessRule, value::ResourceName};

/// Which clients are let in, by their address; others get 403.
///
/// The first rule that matches decides: first `rules`, then those of `lists` in
/// order. Who matches none is let in (nginx: `allow`, `deny`, all versions).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Rules of its own, at most 1000. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<AccessRule>,
    /// AccessList resources, at most 20. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ResourceName>,
}

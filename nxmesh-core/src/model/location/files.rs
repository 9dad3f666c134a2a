//! Serving files.

use serde::{Deserialize, Serialize};

use crate::model::value::{FilePath, IndexName};

/// Serving files from the agent's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StaticFiles {
    /// The folder the request path is looked up in (nginx: `root`).
    pub root: FilePath,
    /// Files tried for a folder. Default: nginx's, `index.html` (nginx: `index`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub index: Vec<IndexName>,
}

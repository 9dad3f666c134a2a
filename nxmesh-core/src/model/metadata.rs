//! What every document carries beside its spec.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::value::{LabelKey, LabelValue, ResourceName, WorkspaceName};

/// Labels of a document or an agent.
pub type Labels = BTreeMap<LabelKey, LabelValue>;

/// Name, workspace and labels of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Unique per kind and workspace.
    pub name: ResourceName,
    /// Default: `default`.
    #[serde(default)]
    pub workspace: WorkspaceName,
    /// Default: none.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

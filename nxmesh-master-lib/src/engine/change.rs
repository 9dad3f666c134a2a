//! What is asked of the engine, and what it answers.

use std::sync::Arc;

use nxmesh_core::{
    api::Change,
    contract::storage::Expected,
    model::{AgentId, Resource, ResourceKey, Version, value::WorkspaceName},
};

/// A set of changes that becomes one revision, or none of it does.
#[derive(Debug, Clone)]
pub struct WriteRequest {
    /// The workspace; every document names the same.
    pub workspace: WorkspaceName,
    /// Who asks, for the history.
    pub author: String,
    /// Why, for the history; may be empty.
    pub message: String,
    /// The changes; no two of the same resource.
    pub changes: Vec<DesiredChange>,
    /// Check and report only; nothing is stored.
    pub dry_run: bool,
}

/// One resource as it is to be.
#[derive(Debug, Clone)]
pub struct DesiredChange {
    /// Which resource.
    pub key: ResourceKey,
    /// The state it has to be in for the change to happen.
    pub expected: Expected,
    /// The content wanted; `None` deletes it.
    pub after: Option<Arc<Resource>>,
}

impl DesiredChange {
    /// Puts `resource`, whatever is there now.
    #[must_use]
    pub fn put(resource: impl Into<Arc<Resource>>) -> Self {
        let resource = resource.into();
        Self {
            key: resource.key(),
            expected: Expected::Any,
            after: Some(resource),
        }
    }

    /// Deletes the resource called `key`, which has to be there.
    #[must_use]
    pub const fn delete(key: ResourceKey) -> Self {
        Self {
            key,
            expected: Expected::Any,
            after: None,
        }
    }

    /// The same change, under the condition `expected`.
    #[must_use]
    pub fn expecting(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }
}

/// What a write did, or would do.
#[derive(Debug, Clone)]
pub struct Written {
    /// The version that was committed; `None` if nothing changed or it was a dry run.
    pub version: Option<Version>,
    /// What becomes of each resource named, in the order asked, without secrets.
    pub changes: Vec<Change>,
    /// The agents whose configuration changes, by id.
    pub agents: Vec<AgentId>,
    /// The agents whose configuration has, or had, any of the resources named, by id.
    pub concerned: Vec<AgentId>,
    /// What is allowed but probably not meant, as sentences for people.
    pub warnings: Vec<String>,
}

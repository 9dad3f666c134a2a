//! The resources as they are now.

use std::sync::Arc;

use async_trait::async_trait;

use super::StorageError;
use crate::model::{
    Resource, ResourceKey, ResourceKind,
    value::{ResourceName, WorkspaceName},
};

/// A resource and the revision that last changed it, which is its ETag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResource {
    /// The revision that last changed it.
    pub revision: u64,
    /// The document; its metadata names the workspace.
    pub resource: Arc<Resource>,
}

/// Which resources to list.
#[derive(Debug, Clone)]
pub struct ListResources {
    /// Of this workspace.
    pub workspace: WorkspaceName,
    /// Of this kind; `None`: of every kind, ordered by kind and name.
    pub kind: Option<ResourceKind>,
    /// Those after this name; needs `kind`.
    pub after: Option<ResourceName>,
    /// At most this many; `None`: all.
    pub limit: Option<u32>,
}

/// Reads resources.
#[async_trait]
pub trait ResourceStore: Send {
    /// Looks one up.
    async fn get(
        &mut self,
        workspace: &WorkspaceName,
        key: &ResourceKey,
    ) -> Result<Option<StoredResource>, StorageError>;

    /// Lists them.
    async fn list(&mut self, query: &ListResources) -> Result<Vec<StoredResource>, StorageError>;

    /// The workspaces that have resources, by name.
    async fn workspaces(&mut self) -> Result<Vec<WorkspaceName>, StorageError>;
}

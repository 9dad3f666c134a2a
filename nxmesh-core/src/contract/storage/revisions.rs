//! The history: every committed change set.

use std::sync::Arc;

use async_trait::async_trait;

use super::StorageError;
use crate::model::{Resource, ResourceKey, Version, value::WorkspaceName};

/// The newest version there is; revision 0 before the first change.
pub type Head = Version;

/// The state a change expects its resource to be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    Any,
    /// Not there.
    Absent,
    /// There, last changed by this revision.
    Revision(u64),
}

/// One change of one resource.
#[derive(Debug, Clone)]
pub struct NewChange {
    /// Which resource.
    pub key: ResourceKey,
    /// The state it has to be in.
    pub expected: Expected,
    /// The new content; `None` removes it.
    pub after: Option<Arc<Resource>>,
}

/// A change set to be committed.
#[derive(Debug, Clone)]
pub struct NewRevision {
    /// The workspace it belongs to.
    pub workspace: WorkspaceName,
    /// Who makes it.
    pub author: String,
    /// Why; may be empty.
    pub message: String,
    /// Unix milliseconds.
    pub at: u64,
    /// At least one; no two of the same resource.
    pub changes: Vec<NewChange>,
}

/// A change as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceChange {
    /// Which resource.
    pub key: ResourceKey,
    /// The content before; `None` if it was not there.
    pub before: Option<Arc<Resource>>,
    /// The content after; `None` if it was removed.
    pub after: Option<Arc<Resource>>,
}

/// A committed change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its place in history.
    pub version: Version,
    /// The workspace it belongs to.
    pub workspace: WorkspaceName,
    /// Who made it.
    pub author: String,
    /// Why.
    pub message: String,
    /// Unix milliseconds.
    pub at: u64,
    /// What changed, by key.
    pub changes: Vec<ResourceChange>,
}

/// Which revisions to list.
#[derive(Debug, Clone)]
pub struct ListRevisions {
    /// Of this workspace; `None`: of all.
    pub workspace: Option<WorkspaceName>,
    /// Those above this number, rising.
    pub after: u64,
    /// At most this many.
    pub limit: u32,
}

/// The history.
#[async_trait]
pub trait RevisionStore: Send {
    /// The newest version.
    async fn head(&mut self) -> Result<Head, StorageError>;

    /// Applies a change set to the resources and records it as the next
    /// revision (clauses 3 to 5 of [`Storage`](super::Storage)).
    ///
    /// # Errors
    ///
    /// [`StorageError::Conflict`] names the first resource that is not in its
    /// expected state; removing one that is not there is a conflict too.
    async fn append(&mut self, revision: NewRevision) -> Result<Revision, StorageError>;

    /// Looks a revision up by its number.
    async fn get(&mut self, number: u64) -> Result<Option<Revision>, StorageError>;

    /// Lists revisions, oldest first.
    async fn list(&mut self, query: &ListRevisions) -> Result<Vec<Revision>, StorageError>;
}

//! The history: every committed change set.

use std::{collections::BTreeSet, fmt, sync::Arc};

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

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any state"),
            Self::Absent => f.write_str("absent"),
            Self::Revision(revision) => write!(f, "revision {revision}"),
        }
    }
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

impl NewChange {
    /// Decides clause 4 of [`Storage`](super::Storage) for implementations:
    /// whether the change may be made to a resource last changed by `found`
    /// (`None`: not there).
    ///
    /// # Errors
    ///
    /// [`StorageError::Conflict`] when the resource is not in the expected
    /// state, or is to be removed and not there.
    pub fn verify(&self, found: Option<u64>) -> Result<(), StorageError> {
        let as_expected = match self.expected {
            Expected::Any => true,
            Expected::Absent => found.is_none(),
            Expected::Revision(revision) => found == Some(revision),
        };
        if as_expected && (self.after.is_some() || found.is_some()) {
            return Ok(());
        }
        let expected = match self.expected {
            Expected::Revision(_) => self.expected.to_string(),
            _ if self.after.is_none() => "present, to be removed".to_owned(),
            _ => self.expected.to_string(),
        };
        Err(StorageError::Conflict {
            what: self.key.to_string(),
            expected,
            found: found
                .map_or(Expected::Absent, Expected::Revision)
                .to_string(),
        })
    }
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

impl NewRevision {
    /// Checks what this type cannot say: that there is at least one change,
    /// that no resource is changed twice, and that each content belongs to its
    /// key and to the workspace. For implementations, before they write.
    ///
    /// # Errors
    ///
    /// [`StorageError::Conflict`] names the change that cannot be made.
    pub fn verify(&self) -> Result<(), StorageError> {
        let conflict = |what: &dyn fmt::Display, expected: &str, found: &dyn fmt::Display| {
            Err(StorageError::Conflict {
                what: what.to_string(),
                expected: expected.to_owned(),
                found: found.to_string(),
            })
        };
        if self.changes.is_empty() {
            return conflict(&"the change set", "at least one change", &"none");
        }
        let mut seen = BTreeSet::new();
        for change in &self.changes {
            if !seen.insert(&change.key) {
                return conflict(&change.key, "one change in a change set", &"two");
            }
            let Some(resource) = &change.after else {
                continue;
            };
            if resource.key() != change.key {
                return conflict(&change.key, "content of the same key", &resource.key());
            }
            let workspace = &resource.metadata().workspace;
            if *workspace != self.workspace {
                let expected = format!("in workspace {}", self.workspace);
                return conflict(&change.key, &expected, workspace);
            }
        }
        Ok(())
    }
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

//! Where the master keeps its state.
//!
//! One small trait per aggregate, joined by a unit of work: what is done
//! through one [`UnitOfWork`] happens together or not at all.

mod access;
mod agents;
mod audit;
mod resources;
mod revisions;

use std::fmt;

use async_trait::async_trait;

use super::BoxError;
pub use access::{AccessStore, BootstrapToken, TokenOwner, TokenUse, User};
pub use agents::{AgentKey, AgentKeys, AgentRecord, AgentStore, ListAgents, keys_of};
pub use audit::{AuditEntry, AuditStore, ListAudit, NewAuditEntry};
pub use resources::{ListResources, ResourceStore, StoredResource};
pub use revisions::{
    Expected, Head, ListRevisions, NewChange, NewRevision, ResourceChange, Revision, RevisionStore,
};

/// The master's database.
///
/// # Contract
///
/// 1. Nothing of a unit of work is visible to others before `commit` returned
///    `Ok`; a unit that is dropped leaves no trace.
/// 2. After `commit` returned `Ok` its changes survive the death of the
///    process at any later instant.
/// 3. Revisions are numbered from 1 without holes, in the order of commit,
///    whatever units run at the same time or are dropped.
/// 4. `append` fails with `Conflict` and changes nothing when a resource is
///    not in the expected state; of two writers that expect the same state
///    one succeeds.
/// 5. `append` applies every change to the resources and records them with
///    the content before and after.
/// 6. Absence is an answer (`None`, an empty list), not an error.
/// 7. Lists are ordered by their key, start after the cursor and are no
///    longer than the limit.
/// 8. A bootstrap token is used up by one install id: the same again gets the
///    same answer, any other is refused, as are unknown and expired tokens.
/// 9. Audit entries are numbered from 1 without holes, in the order of commit,
///    and stay as they are for good.
/// 10. The keys of an agent that is there change only through `change_keys`,
///    which fails with `Conflict` and changes nothing unless they are the
///    expected ones; of two writers that expect the same keys one succeeds.
#[async_trait]
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Stable short name for metric labels and errors, for example `"sqlite"`.
    fn backend(&self) -> &'static str;

    /// Begins a unit of work that may write. Units of one store may wait for each other.
    ///
    /// # Errors
    ///
    /// [`StorageError::Unavailable`]
    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StorageError>;

    /// Begins a unit that only reads, at one point in time; it does not wait
    /// for writers. Writing through it fails.
    ///
    /// # Errors
    ///
    /// [`StorageError::Unavailable`]
    async fn read(&self) -> Result<Box<dyn UnitOfWork>, StorageError>;
}

/// A transaction over all aggregates. Dropping it undoes it.
#[async_trait]
pub trait UnitOfWork: fmt::Debug + Send {
    /// The resources, to read. They change only through `revisions().append()`.
    fn resources(&mut self) -> &mut dyn ResourceStore;

    /// The history.
    fn revisions(&mut self) -> &mut dyn RevisionStore;

    /// The agents.
    fn agents(&mut self) -> &mut dyn AgentStore;

    /// Users and bootstrap tokens.
    fn access(&mut self) -> &mut dyn AccessStore;

    /// The audit log.
    fn audit(&mut self) -> &mut dyn AuditStore;

    /// Makes it so.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; nothing of the unit happened then.
    async fn commit(self: Box<Self>) -> Result<(), StorageError>;
}

/// Why a storage operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Something is not in the state the caller expected. Look again, decide again.
    #[error("{what} is not in the expected state: expected {expected}, found {found}")]
    Conflict {
        /// What was to be changed, for example `VirtualHost/shop`.
        what: String,
        /// The state the caller named.
        expected: String,
        /// The state there is.
        found: String,
    },
    /// The database cannot be reached or is busy; worth retrying.
    #[error("the {backend} storage could not {action}")]
    Unavailable {
        /// The backend's name.
        backend: &'static str,
        /// What was attempted.
        action: &'static str,
        /// The backend's own error.
        source: BoxError,
    },
    /// A unit that only reads was asked to write.
    #[error("a unit of work that only reads cannot write")]
    ReadOnly,
    /// What was read back is not what was written: damage, or a newer version's data.
    #[error("the {backend} storage holds {what} that cannot be read: {reason}")]
    Corrupt {
        /// The backend's name.
        backend: &'static str,
        /// What was read.
        what: String,
        /// Why it makes no sense.
        reason: String,
    },
}

impl StorageError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

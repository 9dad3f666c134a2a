//! One unit of work: a transaction.

use std::fmt;

use async_trait::async_trait;
use nxmesh_core::contract::storage::{
    AccessStore, AgentStore, AuditStore, ResourceStore, RevisionStore, StorageError, UnitOfWork,
};
use sea_orm::{DatabaseTransaction, DbErr};
use tokio::runtime::Handle;

use super::{error::Backend, stored_form::StoredFormError};
use crate::storage::AtRestKey;

/// Whether a unit may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    Allowed,
    Refused,
}

/// A transaction and what its operations need beside it.
pub(super) struct Session {
    pub(super) backend: Backend,
    pub(super) key: AtRestKey,
    pub(super) transaction: DatabaseTransaction,
}

pub(super) struct SqlUnit {
    /// There until the unit ends.
    session: Option<Session>,
    writes: Writes,
    /// Whether each operation so far came to its end.
    intact: bool,
    /// The connection goes back to its pool through a task.
    runtime: Handle,
}

impl SqlUnit {
    pub(super) const fn new(session: Session, writes: Writes, runtime: Handle) -> Self {
        Self {
            session: Some(session),
            writes,
            intact: true,
            runtime,
        }
    }

    /// Begins an operation that only reads; `action` is its name in errors.
    pub(super) fn reading(&mut self, action: &'static str) -> Result<Step<'_>, StorageError> {
        match &self.session {
            Some(session) if self.intact => {
                // Until it is settled: a failed or cancelled statement may have
                // been done by half, or have ended the transaction.
                self.intact = false;
                Ok(Step {
                    session,
                    action,
                    intact: &mut self.intact,
                })
            }
            _ => Err(self.unusable(action)),
        }
    }

    /// Begins an operation that writes.
    pub(super) fn writing(&mut self, action: &'static str) -> Result<Step<'_>, StorageError> {
        match self.writes {
            Writes::Allowed => self.reading(action),
            Writes::Refused => Err(StorageError::ReadOnly),
        }
    }

    fn unusable(&self, action: &'static str) -> StorageError {
        let backend = self.session.as_ref().map_or("sql", |it| it.backend.0);
        Backend(backend).unavailable(action, Unusable)
    }
}

/// A unit of work is good for nothing any more.
#[derive(Debug, thiserror::Error)]
#[error("an operation of this unit of work failed or was cancelled; begin another unit")]
struct Unusable;

/// One operation within a unit.
pub(super) struct Step<'unit> {
    session: &'unit Session,
    action: &'static str,
    intact: &'unit mut bool,
}

impl Step<'_> {
    pub(super) const fn transaction(&self) -> &DatabaseTransaction {
        &self.session.transaction
    }

    pub(super) const fn backend(&self) -> Backend {
        self.session.backend
    }

    pub(super) const fn key(&self) -> &AtRestKey {
        &self.session.key
    }

    pub(super) fn failed(&self, error: DbErr) -> StorageError {
        self.session.backend.failed(self.action, error)
    }

    /// `what` cannot be brought into its stored form.
    pub(super) fn unstorable(&self, error: StoredFormError) -> StorageError {
        self.session.backend.unavailable(self.action, error)
    }

    /// Ends the operation. What was refused before anything was written leaves
    /// the unit as it was; after any other error the unit is unusable.
    pub(super) fn settle<T>(self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        *self.intact = matches!(result, Ok(_) | Err(StorageError::Conflict { .. }));
        result
    }
}

impl fmt::Debug for SqlUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlUnit")
            .field("writes", &self.writes)
            .field("intact", &self.intact)
            .finish_non_exhaustive()
    }
}

impl Drop for SqlUnit {
    fn drop(&mut self) {
        // A transaction rolls back when dropped, and panics without a runtime
        // around it, as in a thread of the caller's own or when the runtime is
        // shutting down.
        let _entered = self.runtime.enter();
        drop(self.session.take());
    }
}

#[async_trait]
impl UnitOfWork for SqlUnit {
    fn resources(&mut self) -> &mut dyn ResourceStore {
        self
    }

    fn revisions(&mut self) -> &mut dyn RevisionStore {
        self
    }

    fn agents(&mut self) -> &mut dyn AgentStore {
        self
    }

    fn access(&mut self) -> &mut dyn AccessStore {
        self
    }

    fn audit(&mut self) -> &mut dyn AuditStore {
        self
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StorageError> {
        const ACTION: &str = "commit a unit of work";
        match self.session.take() {
            // In a task, so that a caller who stops waiting does not cut it short.
            Some(session) if self.intact => self
                .runtime
                .spawn(session.transaction.commit())
                .await
                .map_err(|error| session.backend.unavailable(ACTION, error))?
                .map_err(|error| session.backend.failed(ACTION, error)),
            session => {
                self.session = session;
                Err(self.unusable(ACTION))
            }
        }
    }
}

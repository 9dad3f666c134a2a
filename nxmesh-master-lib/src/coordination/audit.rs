//! What is written to the audit log on the fleet's behalf.

use nxmesh_core::{
    api::AgentView,
    contract::storage::{AuditEntry, ListAudit, NewAuditEntry, StorageError},
    model::value::WorkspaceName,
};
use tracing::error;

use super::Fleet;

/// Entries that may wait while the storage does not answer.
const WAITING: usize = 10_000;

impl Fleet {
    /// Writes an entry, and before it those that wait; it is durable when this
    /// returns.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; what it says must not be done then.
    pub(crate) async fn audit(&self, entry: NewAuditEntry) -> Result<(), StorageError> {
        self.write_audit_and(Some(entry)).await
    }

    /// Lists the audit log.
    ///
    /// # Errors
    ///
    /// [`StorageError`]
    pub async fn audit_log(&self, query: &ListAudit) -> Result<Vec<AuditEntry>, StorageError> {
        let mut unit = self.0.storage.read().await?;
        unit.audit().list(query).await
    }

    /// Has an entry about what happened already written soon.
    pub(super) fn audit_later(&self, entry: NewAuditEntry) {
        let mut waiting = self.unwritten();
        if waiting.len() == WAITING {
            let lost = waiting.pop_front();
            error!(
                ?lost,
                "the audit log cannot be written for too long, an entry is lost"
            );
        }
        waiting.push_back(entry);
        drop(waiting);
        self.0.unsaved.notify_one();
    }

    /// Writes what waits, in its order.
    pub(super) async fn write_audit(&self) -> Result<(), StorageError> {
        self.write_audit_and(None).await
    }

    async fn write_audit_and(&self, last: Option<NewAuditEntry>) -> Result<(), StorageError> {
        let waiting = std::mem::take(&mut *self.unwritten());
        if waiting.is_empty() && last.is_none() {
            return Ok(());
        }
        let written = self.append(waiting.iter().chain(&last)).await;
        if written.is_err() {
            let mut unwritten = self.unwritten();
            let newer = std::mem::replace(&mut *unwritten, waiting);
            unwritten.extend(newer);
        }
        written
    }

    async fn append(
        &self,
        entries: impl Iterator<Item = &NewAuditEntry> + Send,
    ) -> Result<(), StorageError> {
        let mut unit = self.0.storage.begin().await?;
        for entry in entries {
            unit.audit().append(entry.clone()).await?;
        }
        unit.commit().await
    }
}

/// That an agent was forgotten.
pub(super) fn removal(
    workspace: &WorkspaceName,
    agent: &AgentView,
    at: u64,
    by: &str,
) -> NewAuditEntry {
    NewAuditEntry {
        at,
        actor: by.to_owned(),
        action: "agent:delete".to_owned(),
        workspace: Some(workspace.clone()),
        subject: format!("agent/{}", agent.id),
        act: String::new(),
        outcome: "done".to_owned(),
        detail: format!("host {}", agent.hostname),
    }
}

//! Agents whose identity two machines have.

use nxmesh_core::{
    contract::storage::{NewAuditEntry, StorageError},
    model::{AgentId, value::WorkspaceName},
};
use tracing::{error, info};

use super::{Fleet, HelloError};

impl Fleet {
    /// Lets an agent in again on behalf of `by`; returns whether it was in
    /// quarantine. If two machines still have its identity they are found out
    /// again.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; it stays in quarantine then.
    pub async fn unquarantine(
        &self,
        workspace: &WorkspaceName,
        id: &AgentId,
        by: &str,
    ) -> Result<bool, StorageError> {
        let agent = self.agent(workspace, id).await;
        if agent.is_none_or(|it| it.quarantine.is_none()) {
            return Ok(false);
        }
        let at = self.clock().unix_millis();
        self.audit(entry(
            Some(workspace.clone()),
            id,
            at,
            by,
            "agent:unquarantine",
        ))
        .await?;
        info!(user = by, agent = %id, "agent let in again");
        let was = self.registry().unquarantine(id);
        self.0.unsaved.notify_one();
        self.changed();
        Ok(was)
    }

    /// Notes that an agent went into quarantine.
    pub(super) fn quarantined(
        &self,
        workspace: Option<WorkspaceName>,
        id: &AgentId,
        at: u64,
        why: &HelloError,
    ) {
        error!(agent = %id, reason = %why, "agent put into quarantine");
        self.audit_later(NewAuditEntry {
            detail: why.to_string(),
            ..entry(workspace, id, at, "master", "agent:quarantine")
        });
        self.changed();
    }
}

fn entry(
    workspace: Option<WorkspaceName>,
    id: &AgentId,
    at: u64,
    actor: &str,
    action: &str,
) -> NewAuditEntry {
    NewAuditEntry {
        at,
        actor: actor.to_owned(),
        action: action.to_owned(),
        workspace,
        subject: format!("agent/{id}"),
        act: String::new(),
        outcome: "done".to_owned(),
        detail: String::new(),
    }
}

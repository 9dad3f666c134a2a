//! Commands to agents: given to the session an agent has, never kept for one
//! that is away, answered in time or counted as expired, and audited.

mod left_open;
mod remembered;

use std::time::Duration;

use nxmesh_core::{
    api::{CommandKind, CommandState, CommandView},
    contract::storage::{NewAuditEntry, StorageError},
    model::{AgentId, value::WorkspaceName},
    wire::{self, CommandResult, master_message::Payload},
};
use tokio::time::Instant;
use tracing::info;
use uuid::Uuid;

use super::Fleet;
pub(super) use left_open::run;
pub(super) use remembered::Commands;

/// Why a command is not given.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such agent.
    #[error("agent {agent} in workspace {workspace} is not there")]
    Unknown {
        /// The agent.
        agent: AgentId,
        /// Where it was looked for.
        workspace: WorkspaceName,
    },
    /// It has no session with this master; nothing was queued.
    #[error(
        "agent {agent} ({hostname}) is not connected, so it was not told to {what}; nothing waits for its return, ask again then"
    )]
    Away {
        /// The agent.
        agent: AgentId,
        /// Its machine.
        hostname: String,
        /// What it was to do.
        what: &'static str,
    },
    /// It is of a version that cannot do this; nothing was queued.
    #[error("agent {agent} ({hostname}) is of version {version}, which cannot {what}; update it")]
    TooOld {
        /// The agent.
        agent: AgentId,
        /// Its machine.
        hostname: String,
        /// Its version.
        version: String,
        /// What it was to do.
        what: &'static str,
    },
    /// It has not taken the commands before; nothing was queued.
    #[error("agent {agent} has not taken the commands before this one yet; try again later")]
    Busy {
        /// The agent.
        agent: AgentId,
    },
    /// The audit log could not be written; nothing was sent.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Fleet {
    /// Gives an agent a command on behalf of `by`. Returns once it is audited
    /// and on its way; see [`wait_command`](Self::wait_command).
    ///
    /// # Errors
    ///
    /// [`CommandError`]; the agent is not told then.
    pub async fn command(
        &self,
        workspace: &WorkspaceName,
        agent: &AgentId,
        kind: CommandKind,
        timeout: Duration,
        by: &str,
    ) -> Result<CommandView, CommandError> {
        let at = self.clock().unix_millis();
        let deadline = at.saturating_add(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let view = CommandView {
            id: Uuid::now_v7().hyphenated().to_string(),
            agent: agent.clone(),
            kind,
            by: by.to_owned(),
            at,
            deadline,
            state: CommandState::Waiting,
            message: String::new(),
        };
        let refused = self.can_be_told(workspace, agent, kind).err();
        let mut entry = audited(workspace, &view, at);
        if let Some(refused) = &refused {
            entry.outcome = "refused".to_owned();
            entry.detail = refused.to_string();
        }
        if !matches!(refused, Some(CommandError::Unknown { .. })) {
            self.audit(entry).await?;
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        let until = Instant::now() + timeout;
        let added = self.commands().add(workspace.clone(), view.clone(), until);
        let sent = match (added, on_the_wire(kind)) {
            (true, Some(kind)) => self.hand_over(workspace, &view, kind),
            (true, None) => self.rotate_key(&view).await,
            (false, _) => Err(CommandError::Busy {
                agent: agent.clone(),
            }),
        };
        if let Err(error) = sent {
            self.settle(agent, &view.id, CommandState::Failed, &error.to_string());
            return Err(error);
        }
        info!(user = by, %agent, %kind, id = view.id, "agent commanded");
        self.0.commanded.notify_one();
        Ok(view)
    }

    /// A command of an agent, as far as it is; `None` if it is not remembered.
    #[must_use]
    pub fn command_view(
        &self,
        workspace: &WorkspaceName,
        agent: &AgentId,
        id: &str,
    ) -> Option<CommandView> {
        let commands = self.commands();
        let known = commands.known.get(id)?;
        let view = known.view.borrow().clone();
        (known.workspace == *workspace && view.agent == *agent).then_some(view)
    }

    /// As [`command_view`](Self::command_view), once it waits no more or `until`
    /// is reached.
    pub async fn wait_command(
        &self,
        workspace: &WorkspaceName,
        agent: &AgentId,
        id: &str,
        until: Instant,
    ) -> Option<CommandView> {
        let found = self.command_view(workspace, agent, id)?;
        let mut changes = self.commands().known.get(id)?.view.subscribe();
        let settled = changes.wait_for(|view| view.state != CommandState::Waiting);
        match tokio::time::timeout_at(until, settled).await {
            Ok(Ok(view)) => Some(view.clone()),
            // Forgotten meanwhile, or not settled in time.
            _ => Some(self.command_view(workspace, agent, id).unwrap_or(found)),
        }
    }

    /// Takes a result in. If the command is not remembered, the audit log is asked
    /// for it first.
    pub(super) fn command_result(&self, agent: &AgentId, result: &CommandResult) {
        if self.commands().keep_unknown(agent, result) {
            self.0.commanded.notify_one();
            return;
        }
        let state = match result.ok {
            true => CommandState::Done,
            false => CommandState::Failed,
        };
        let settled = self.settle(agent, &result.id, state, &result.message);
        let drained = match settled {
            Some(view) if result.ok => match view.kind {
                CommandKind::Drain => true,
                CommandKind::Undrain => false,
                _ => return,
            },
            _ => return,
        };
        // Its next report says so too; whoever waits for the command sees it now.
        if let Some(agent) = self.registry().change(agent) {
            agent.record.facts.drained = drained;
            agent.wake();
        }
        self.0.unsaved.notify_one();
        self.changed();
    }

    /// What was to be sent in a session that is over fails.
    pub(super) fn command_unsent(&self, agent: &AgentId, payload: &Payload) {
        if let Payload::Command(command) = payload {
            let message = "the agent's connection ended before it could be told";
            self.settle(agent, &command.id, CommandState::Failed, message);
        }
    }

    /// The command, if this settles it.
    pub(super) fn settle(
        &self,
        agent: &AgentId,
        id: &str,
        state: CommandState,
        message: &str,
    ) -> Option<CommandView> {
        let settled = self.commands().settle(agent, id, state, message);
        let (workspace, view) = settled?;
        info!(%agent, kind = %view.kind, id, state = state.as_str(), message = view.message, "command settled");
        let mut entry = audited(&workspace, &view, self.clock().unix_millis());
        entry.actor = format!("agent/{agent}");
        if state == CommandState::Expired {
            entry.actor = "master".to_owned();
        }
        entry.outcome = state.as_str().to_owned();
        entry.detail.clone_from(&view.message);
        self.audit_later(entry);
        Some(view)
    }

    /// Whether the agent can be told something now.
    pub(super) fn reachable(
        &self,
        workspace: &WorkspaceName,
        id: &AgentId,
        what: &'static str,
    ) -> Result<(), CommandError> {
        let registry = self.registry();
        let agent = registry
            .get(id)
            .filter(|agent| agent.record.workspace == *workspace)
            .ok_or_else(|| CommandError::Unknown {
                agent: id.clone(),
                workspace: workspace.clone(),
            })?;
        match agent.session {
            Some(_) => Ok(()),
            None => Err(CommandError::Away {
                agent: id.clone(),
                hostname: agent.record.hostname.clone(),
                what,
            }),
        }
    }

    fn can_be_told(
        &self,
        workspace: &WorkspaceName,
        id: &AgentId,
        kind: CommandKind,
    ) -> Result<(), CommandError> {
        self.reachable(workspace, id, kind.as_str())?;
        let registry = self.registry();
        let Some(agent) = registry.get(id) else {
            return Ok(());
        };
        let live = agent.session.as_ref();
        if kind == CommandKind::RotateKey && live.is_some_and(|live| !live.rotates) {
            return Err(CommandError::TooOld {
                agent: id.clone(),
                hostname: agent.record.hostname.clone(),
                version: agent.record.agent_version.clone(),
                what: kind.as_str(),
            });
        }
        Ok(())
    }

    /// Done once the agent is seen using another key; one that is on offer already
    /// will do.
    async fn rotate_key(&self, view: &CommandView) -> Result<(), CommandError> {
        let waits = || {
            let commands = self.commands();
            let known = commands.known.get(&view.id);
            known.is_some_and(|it| it.state() == CommandState::Waiting)
        };
        self.offer_another_key(&view.agent, waits).await?;
        Ok(())
    }

    fn hand_over(
        &self,
        workspace: &WorkspaceName,
        view: &CommandView,
        kind: wire::CommandKind,
    ) -> Result<(), CommandError> {
        self.reachable(workspace, &view.agent, view.kind.as_str())?;
        let command = wire::Command {
            id: view.id.clone(),
            deadline: view.deadline,
            kind: kind.into(),
            ..wire::Command::default()
        };
        match self.registry().tell(&view.agent, Payload::Command(command)) {
            true => Ok(()),
            false => Err(CommandError::Busy {
                agent: view.agent.clone(),
            }),
        }
    }
}

/// `None` for what is not told as a command: a key is offered.
const fn on_the_wire(kind: CommandKind) -> Option<wire::CommandKind> {
    Some(match kind {
        CommandKind::RotateKey => return None,
        CommandKind::Reload => wire::CommandKind::Reload,
        CommandKind::Recheck => wire::CommandKind::Recheck,
        CommandKind::Restart => wire::CommandKind::Restart,
        CommandKind::Drain => wire::CommandKind::Drain,
        CommandKind::Undrain => wire::CommandKind::Undrain,
    })
}

/// The entry about asking for a command.
fn audited(workspace: &WorkspaceName, view: &CommandView, at: u64) -> NewAuditEntry {
    NewAuditEntry {
        at,
        actor: view.by.clone(),
        action: format!("agent:{}", view.kind),
        workspace: Some(workspace.clone()),
        subject: format!("agent/{}", view.agent),
        act: view.id.clone(),
        outcome: "asked".to_owned(),
        detail: String::new(),
    }
}

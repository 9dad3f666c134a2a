//! Commands whose end was not audited yet.
//!
//! The audit log has who asked for what, before an agent is told, and what came
//! of it. So a master that starts takes from it the commands that are without a
//! result, and waits for them as if it had given them. Where several masters have
//! one database, an agent may bring its result to another one than was asked: that
//! one finds the command in the log and audits its end, and the one that waits
//! looks into the log before it says that nothing came.
//!
//! Assumed is that the masters' clocks differ by little, that no agent was given
//! longer than [`LONGEST`], and that a result comes before [`LOOKED_AT`] newer
//! entries: whatever is older stays as it is in the log. Two masters that wait for
//! the same command may both say that it expired; a result that comes later counts
//! all the same.

use std::{collections::HashMap, time::Duration};

use nxmesh_core::{
    api::{CommandState, CommandView},
    contract::storage::{AuditEntry, ListAudit, StorageError},
    model::value::WorkspaceName,
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Commands, Fleet, remembered::WAITING};

/// Entries of the audit log, from its end.
const LOOKED_AT: usize = 10_000;
/// Entries that are read at a time.
const PAGE: u32 = 1000;
/// What the log does not tell: how long the agent was given. Nobody gives longer.
const LONGEST: Duration = Duration::from_secs(600);
/// How long agents have at least to come back to a master that was started.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// The least time between two looks into the log.
const REST: Duration = Duration::from_secs(5);

impl Fleet {
    /// Takes over the commands that the audit log has no result of. Without the log
    /// they stay as they are.
    pub(in super::super) async fn take_left_open(&self) {
        let mut left: Vec<_> = match self.audited_commands().await {
            Ok(found) => found.into_values().filter(|it| is_open(&it.1)).collect(),
            Err(error) => {
                warn!(%error, "commands given before this start are not known: the audit log could not be read");
                return;
            }
        };
        left.sort_by(|(_, a), (_, b)| (a.at, &a.id).cmp(&(b.at, &b.id)));
        let newest = left.split_off(left.len().saturating_sub(WAITING));
        if !newest.is_empty() {
            info!(
                commands = newest.len(),
                "commands given before this start have no result yet"
            );
        }
        for (workspace, view) in newest {
            self.take_over(workspace, view);
        }
    }

    fn take_over(&self, workspace: WorkspaceName, view: CommandView) {
        let now = self.clock().unix_millis();
        let left = Duration::from_millis(view.deadline.saturating_sub(now));
        let until = Instant::now() + left.clamp(BACK_WITHIN, LONGEST);
        self.commands().add(workspace, view, until);
    }

    /// Ends what is overdue, and settles what was not remembered, by what the audit
    /// log has.
    async fn look_into_log(&self) -> Result<(), StorageError> {
        let mut audited = self.audited_commands().await?;
        let overdue = self.commands().overdue(Instant::now());
        for (agent, id) in overdue {
            let ended = audited.remove(&id).map(|(_, view)| view);
            if let Some(ended) = ended.filter(|it| it.state != CommandState::Waiting) {
                // Another master took its result in.
                let message = &ended.message;
                self.commands().settle(&agent, &id, ended.state, message);
                continue;
            }
            warn!(%agent, id, "no result of a command in time");
            let message = "no result came in time; it may have been done all the same";
            self.settle(&agent, &id, CommandState::Expired, message);
        }
        let unknown = std::mem::take(&mut self.commands().unknown);
        for (agent, result) in unknown {
            let Some((workspace, view)) = audited.remove(&result.id) else {
                continue;
            };
            if view.agent == agent && is_open(&view) {
                self.take_over(workspace, view);
                self.command_result(&agent, &result);
            }
        }
        Ok(())
    }

    /// The commands that the end of the audit log tells of, as far as they are.
    async fn audited_commands(
        &self,
    ) -> Result<HashMap<String, (WorkspaceName, CommandView)>, StorageError> {
        let mut unit = self.0.storage.read().await?;
        let (mut audited, mut read) = (Audited::default(), 0);
        let mut query = ListAudit {
            workspace: None,
            after: u64::MAX,
            limit: PAGE,
            newest_first: true,
        };
        while read < LOOKED_AT {
            let page = unit.audit().list(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = last.number;
            read += page.len();
            for entry in page {
                audited.take_in(entry);
            }
        }
        Ok(audited.commands)
    }
}

/// What the audit log says of commands, read from its end.
#[derive(Debug, Default)]
struct Audited {
    /// The newest result of each.
    ended: HashMap<String, (CommandState, String)>,
    commands: HashMap<String, (WorkspaceName, CommandView)>,
}

impl Audited {
    fn take_in(&mut self, AuditEntry { entry, .. }: AuditEntry) {
        let kind = entry.action.strip_prefix("agent:").map(str::parse);
        // A change of a key for its age has the name of that key.
        if Uuid::try_parse(&entry.act).is_err() {
            return;
        }
        let Some(Ok(kind)) = kind else { return };
        if let Some(state) = ended(&entry.outcome) {
            let result = (state, entry.detail);
            self.ended.entry(entry.act).or_insert(result);
            return;
        }
        let agent = entry.subject.strip_prefix("agent/").map(str::parse);
        let (Some(Ok(agent)), Some(workspace)) = (agent, entry.workspace) else {
            return;
        };
        if entry.outcome != "asked" {
            return;
        }
        let longest = u64::try_from(LONGEST.as_millis()).unwrap_or(u64::MAX);
        let (state, message) = match self.ended.remove(&entry.act) {
            Some(ended) => ended,
            None => (CommandState::Waiting, String::new()),
        };
        let view = CommandView {
            id: entry.act.clone(),
            agent,
            kind,
            by: entry.actor,
            at: entry.at,
            deadline: entry.at.saturating_add(longest),
            state,
            message,
        };
        self.commands.insert(entry.act, (workspace, view));
    }
}

fn ended(outcome: &str) -> Option<CommandState> {
    let ends = [
        CommandState::Done,
        CommandState::Failed,
        CommandState::Expired,
    ];
    ends.into_iter().find(|state| state.as_str() == outcome)
}

/// Whether a result would be new.
fn is_open(view: &CommandView) -> bool {
    matches!(view.state, CommandState::Waiting | CommandState::Expired)
}

/// Lets commands expire, and settles those that are not remembered, until `stop`.
pub(in super::super) async fn run(fleet: &Fleet, stop: &CancellationToken) {
    let mut not_before = Instant::now();
    loop {
        let wanted = fleet.commands().log_wanted();
        let next = wanted.map(|at| at.max(not_before));
        tokio::select! {
            () = stop.cancelled() => return,
            () = fleet.0.commanded.notified() => continue,
            () = sleep_until(next.unwrap_or(not_before)), if next.is_some() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            looked = fleet.look_into_log() => if let Err(error) = looked {
                warn!(%error, "what came of commands is not known yet: the audit log could not be read");
            },
        }
        not_before = Instant::now() + REST;
    }
}

impl Commands {
    /// When the log is to be looked into.
    fn log_wanted(&self) -> Option<Instant> {
        match self.unknown.is_empty() {
            true => self.next_deadline(),
            false => Some(Instant::now()),
        }
    }
}

//! The commands that are remembered, and what came of them.

use std::collections::{HashMap, VecDeque};

use nxmesh_core::{
    api::{CommandKind, CommandState, CommandView},
    model::{AgentId, value::WorkspaceName},
    wire::CommandResult,
};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::super::facts::shown;

/// Commands that are remembered; the audit log has them all.
const REMEMBERED: usize = 1000;
/// Commands of all agents that may wait for their results at the same time.
pub(super) const WAITING: usize = 500;
/// Results of commands that are not remembered, until the audit log was asked.
const UNKNOWN: usize = 100;
const MESSAGE_CHARS: usize = 4 << 10;

/// The commands that are remembered, oldest first.
#[derive(Debug, Default)]
pub(in super::super) struct Commands {
    pub(super) known: HashMap<String, Known>,
    order: VecDeque<String>,
    /// Results of what is not among these.
    pub(super) unknown: Vec<(AgentId, CommandResult)>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) workspace: WorkspaceName,
    pub(super) view: watch::Sender<CommandView>,
    until: Instant,
}

impl Known {
    pub(super) fn state(&self) -> CommandState {
        self.view.borrow().state
    }
}

impl Commands {
    fn waiting(&self) -> impl Iterator<Item = &Known> {
        let known = self.known.values();
        known.filter(|it| it.state() == CommandState::Waiting)
    }

    /// `false` if too many wait already.
    pub(super) fn add(
        &mut self,
        workspace: WorkspaceName,
        view: CommandView,
        until: Instant,
    ) -> bool {
        if self.waiting().count() >= WAITING {
            return false;
        }
        while self.order.len() >= REMEMBERED {
            // One of the oldest that is settled: most are.
            let settled = self.order.iter().position(|id| {
                let known = self.known.get(id);
                known.is_none_or(|it| it.state() != CommandState::Waiting)
            });
            let Some(id) = settled.and_then(|at| self.order.remove(at)) else {
                return false;
            };
            self.known.remove(&id);
        }
        self.order.push_back(view.id.clone());
        let known = Known {
            workspace,
            view: watch::Sender::new(view.clone()),
            until,
        };
        self.known.insert(view.id, known);
        true
    }

    /// Settles a command of `agent`, once; returns it and its workspace.
    pub(super) fn settle(
        &mut self,
        agent: &AgentId,
        id: &str,
        state: CommandState,
        message: &str,
    ) -> Option<(WorkspaceName, CommandView)> {
        let known = self.known.get(id)?;
        let open = match known.state() {
            CommandState::Waiting => true,
            CommandState::Expired => state != CommandState::Expired,
            CommandState::Done | CommandState::Failed => false,
        };
        if !open || known.view.borrow().agent != *agent {
            return None;
        }
        known.view.send_modify(|view| {
            view.state = state;
            view.message = shown(message, MESSAGE_CHARS);
        });
        Some((known.workspace.clone(), known.view.borrow().clone()))
    }

    /// The commands of this kind that an agent has not answered, in time or yet.
    pub(in super::super) fn unanswered(&self, agent: &AgentId, kind: CommandKind) -> Vec<String> {
        let unanswered = self.known.values().filter_map(|it| {
            let view = it.view.borrow();
            let open = matches!(view.state, CommandState::Waiting | CommandState::Expired);
            (open && view.agent == *agent && view.kind == kind).then(|| view.id.clone())
        });
        unanswered.collect()
    }

    pub(super) fn overdue(&self, now: Instant) -> Vec<(AgentId, String)> {
        let overdue = self.waiting().filter(|it| it.until <= now);
        overdue
            .map(|it| {
                let view = it.view.borrow();
                (view.agent.clone(), view.id.clone())
            })
            .collect()
    }

    /// Keeps the result of a command that is not remembered; `false` if it is.
    pub(super) fn keep_unknown(&mut self, agent: &AgentId, result: &CommandResult) -> bool {
        // Whoever gave it made its name so.
        if self.known.contains_key(&result.id) || Uuid::try_parse(&result.id).is_err() {
            return false;
        }
        if self.unknown.len() < UNKNOWN {
            self.unknown.push((agent.clone(), result.clone()));
        }
        true
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting().map(|it| it.until).min()
    }
}

#[cfg(test)]
mod tests {
    use nxmesh_core::testkit::sample;

    use super::*;

    fn view(number: usize) -> CommandView {
        CommandView {
            id: number.to_string(),
            agent: sample::agent_id(1),
            kind: CommandKind::Reload,
            by: "ada".to_owned(),
            at: 0,
            deadline: 0,
            state: CommandState::Waiting,
            message: String::new(),
        }
    }

    /// However many are given, memory is bounded, and what waits is kept.
    #[tokio::test]
    async fn old_commands_are_forgotten_and_waiting_ones_are_not() {
        let mut commands = Commands::default();
        let until = Instant::now();
        assert!(commands.add(WorkspaceName::default(), view(0), until));
        for number in 1..=2 * REMEMBERED {
            assert!(commands.add(WorkspaceName::default(), view(number), until));
            let id = number.to_string();
            let agent = sample::agent_id(1);
            let settled = commands.settle(&agent, &id, CommandState::Done, "");
            assert!(settled.is_some());
        }
        assert_eq!(commands.known.len(), REMEMBERED);
        assert_eq!(commands.order.len(), REMEMBERED);
        assert_eq!(
            commands.overdue(until),
            [(sample::agent_id(1), "0".to_owned())]
        );
    }

    #[tokio::test]
    async fn too_many_at_once_are_refused() {
        let mut commands = Commands::default();
        let until = Instant::now();
        for number in 0..WAITING {
            assert!(commands.add(WorkspaceName::default(), view(number), until));
        }
        assert!(!commands.add(WorkspaceName::default(), view(WAITING), until));
    }

    #[tokio::test]
    async fn a_command_is_settled_once_by_its_own_agent() {
        let mut commands = Commands::default();
        commands.add(WorkspaceName::default(), view(1), Instant::now());
        let (ours, others) = (sample::agent_id(1), sample::agent_id(2));
        let mut settle = |agent, state| commands.settle(agent, "1", state, "").is_some();
        assert!(!settle(&others, CommandState::Done));
        assert!(settle(&ours, CommandState::Expired));
        assert!(!settle(&ours, CommandState::Expired));
        assert!(settle(&ours, CommandState::Done), "a late result counts");
        assert!(!settle(&ours, CommandState::Failed));
    }
}

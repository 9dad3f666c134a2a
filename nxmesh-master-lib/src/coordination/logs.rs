//! Looking at an agent's log: lines on their way from a session to whoever asked.

use std::{collections::HashMap, time::Duration};

use nxmesh_core::{
    api::LogEvent,
    contract::storage::NewAuditEntry,
    model::{AgentId, value::WorkspaceName},
    wire::{self, LogBatch, master_message::Payload},
};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::{CommandError, Fleet, facts::shown_line};

/// Who look at logs at the same time.
const READERS: usize = 64;
/// Batches that may wait for one of them.
const BATCHES: usize = 64;
/// What is taken of one batch.
const LINES: usize = 1000;
const LINE_CHARS: usize = 4 << 10;
/// How long one may look.
const LONGEST: Duration = Duration::from_secs(600);
/// How often a reader is told that the master is there.
const IDLE: Duration = Duration::from_secs(15);

/// The readers, by what they asked for.
#[derive(Debug, Default)]
pub(super) struct Readers(HashMap<String, Reader>);

#[derive(Debug)]
struct Reader {
    agent: AgentId,
    events: mpsc::Sender<LogEvent>,
    dropped: u64,
}

impl Readers {
    /// Passes a batch on; what there is no room for is counted.
    fn take_in(&mut self, agent: &AgentId, batch: LogBatch) {
        let Some(reader) = self.0.get_mut(&batch.command_id) else {
            return;
        };
        if reader.agent != *agent {
            return;
        }
        let lines = batch.lines.iter().take(LINES);
        let event = LogEvent {
            lines: lines
                .map(|line| shown_line(&line.text, LINE_CHARS))
                .collect(),
            dropped: batch.dropped.saturating_add(reader.dropped),
            end: batch.end.then(|| shown_line(&batch.reason, LINE_CHARS)),
        };
        let ends = event.end.is_some();
        reader.dropped = match reader.events.try_send(event) {
            Ok(()) => 0,
            Err(error) => {
                let lost = error.into_inner();
                lost.dropped.saturating_add(lost.lines.len() as u64)
            }
        };
        if ends {
            // The end of the channel says so where there was no room for the words.
            self.0.remove(&batch.command_id);
        }
    }
}

/// The lines somebody asked for. Dropped, the agent is told to stop.
#[derive(Debug)]
pub struct LogStream {
    fleet: Fleet,
    agent: AgentId,
    id: String,
    events: mpsc::Receiver<LogEvent>,
    until: Instant,
    ended: bool,
}

impl LogStream {
    /// What comes next; `None` after the end. Empty from time to time.
    pub async fn next(&mut self) -> Option<LogEvent> {
        if self.ended {
            return None;
        }
        let idle = self.until.min(Instant::now() + IDLE);
        let event = match tokio::time::timeout_at(idle, self.events.recv()).await {
            Ok(Some(event)) => event,
            Ok(None) => ending("the agent's connection ended"),
            Err(_) if Instant::now() >= self.until => {
                ending("the time for one look is over; ask again")
            }
            Err(_) => LogEvent::default(),
        };
        self.ended = event.end.is_some();
        Some(event)
    }
}

fn ending(reason: &str) -> LogEvent {
    LogEvent {
        end: Some(reason.to_owned()),
        ..LogEvent::default()
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        if self.fleet.readers().0.remove(&self.id).is_none() {
            return;
        }
        let end = wire::Command {
            id: self.id.clone(),
            kind: wire::CommandKind::EndLogs.into(),
            ..wire::Command::default()
        };
        // One that is away has ended already, one that is busy ends in time.
        self.fleet
            .registry()
            .tell(&self.agent, Payload::Command(end));
    }
}

impl Fleet {
    /// Asks an agent for the last `lines` of its nginx's error log and, with
    /// `follow`, for what is added to it, for 10 minutes at most.
    ///
    /// # Errors
    ///
    /// [`CommandError`]
    pub async fn logs(
        &self,
        workspace: &WorkspaceName,
        agent: &AgentId,
        lines: u32,
        follow: bool,
        by: &str,
    ) -> Result<LogStream, CommandError> {
        self.reachable(workspace, agent, "send its log")?;
        let id = Uuid::now_v7().hyphenated().to_string();
        let at = self.clock().unix_millis();
        self.audit(NewAuditEntry {
            at,
            actor: by.to_owned(),
            action: "agent:logs".to_owned(),
            workspace: Some(workspace.clone()),
            subject: format!("agent/{agent}"),
            act: id.clone(),
            outcome: "asked".to_owned(),
            detail: String::new(),
        })
        .await?;
        let (events, taken) = mpsc::channel(BATCHES);
        let busy = || CommandError::Busy {
            agent: agent.clone(),
        };
        let mut readers = self.readers();
        if readers.0.len() >= READERS {
            return Err(busy());
        }
        let reader = Reader {
            agent: agent.clone(),
            events,
            dropped: 0,
        };
        readers.0.insert(id.clone(), reader);
        drop(readers);
        let stream = LogStream {
            fleet: self.clone(),
            agent: agent.clone(),
            id: id.clone(),
            events: taken,
            until: Instant::now() + LONGEST,
            ended: false,
        };
        let longest = u64::try_from(LONGEST.as_millis()).unwrap_or(u64::MAX);
        let command = wire::Command {
            id,
            deadline: at.saturating_add(longest),
            kind: wire::CommandKind::Logs.into(),
            lines,
            follow,
        };
        match self.registry().tell(agent, Payload::Command(command)) {
            true => Ok(stream),
            false => Err(busy()),
        }
    }

    /// Passes lines of an agent on.
    pub(super) fn log_lines(&self, agent: &AgentId, batch: LogBatch) {
        self.readers().take_in(agent, batch);
    }

    /// A session of the agent is over, and with it all it sent lines for.
    pub(super) fn logs_over(&self, agent: &AgentId) {
        self.readers().0.retain(|_, reader| reader.agent != *agent);
    }
}

#[cfg(test)]
mod tests {
    use nxmesh_core::{testkit::sample, wire::LogLine};

    use super::*;

    fn batch(lines: usize) -> LogBatch {
        LogBatch {
            command_id: "1".to_owned(),
            lines: vec![LogLine::default(); lines],
            ..LogBatch::default()
        }
    }

    #[tokio::test]
    async fn a_slow_reader_learns_what_it_missed() {
        let mut readers = Readers::default();
        let (events, mut taken) = mpsc::channel(2);
        let reader = Reader {
            agent: sample::agent_id(1),
            events,
            dropped: 0,
        };
        readers.0.insert("1".to_owned(), reader);
        readers.take_in(&sample::agent_id(2), batch(1));
        assert!(taken.is_empty(), "another agent's lines are passed on");
        for _ in 0..5 {
            readers.take_in(&sample::agent_id(1), batch(10));
        }
        assert_eq!(taken.len(), 2);
        taken.recv().await.unwrap();
        readers.take_in(&sample::agent_id(1), batch(1));
        taken.recv().await.unwrap();
        let last = taken.recv().await.unwrap();
        assert_eq!((last.dropped, last.lines.len()), (30, 1));
    }
}

//! What waits to be told to the master.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nxmesh_core::wire::{CommandResult, ConfigPhase, ConfigStatus, agent_message::Payload};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracing::warn;

/// What waits at most. With the master away only newer versions add to it.
const CAPACITY: usize = 128;

/// Results that are kept until the master says that it has them.
const UNACKNOWLEDGED: usize = 16;

/// Keeps statuses until a session takes them, in the order they came. What a
/// later one of the same version says as well is dropped: a phase on the way is
/// told only of an apply that takes its time. The outcome of the newest apply is
/// told again at the start of each session, as the one before may have lost it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    entries: VecDeque<Entry>,
    last_outcome: Option<ConfigStatus>,
    /// Results of commands that may have been lost with a session.
    unacknowledged: VecDeque<CommandResult>,
}

/// One message and its place in the outbox.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    id: u64,
    since: Instant,
    pub(crate) payload: Payload,
}

impl Outbox {
    /// Adds a status; those of the same version that it leaves behind go.
    pub(crate) fn push_status(&self, status: ConfigStatus) {
        let mut waiting = self.lock();
        if is_outcome(&status) {
            waiting.last_outcome = Some(status.clone());
        }
        waiting.push_status(status);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Adds the result of a command. It is told again at the start of each
    /// session until the master says that it has it.
    pub(crate) fn push_result(&self, result: CommandResult) {
        let mut waiting = self.lock();
        if waiting.unacknowledged.len() == UNACKNOWLEDGED {
            waiting.unacknowledged.pop_front();
        }
        waiting.unacknowledged.push_back(result.clone());
        waiting.push(Payload::CommandResult(result));
        drop(waiting);
        self.filled.notify_one();
    }

    /// The master has the result of the command `id`.
    pub(crate) fn acknowledged(&self, id: &str) {
        self.lock().unacknowledged.retain(|result| result.id != id);
    }

    /// Readies the outbox for a new session.
    pub(crate) fn begin_session(&self) {
        let mut waiting = self.lock();
        if let Some(outcome) = waiting.last_outcome.clone() {
            waiting.push_status(outcome);
        }
        for result in waiting.unacknowledged.clone() {
            let result = Payload::CommandResult(result);
            if waiting.entries.iter().all(|entry| entry.payload != result) {
                waiting.push(result);
            }
        }
    }

    /// Waits for the oldest message, which stays until it is [`sent`](Self::sent).
    /// A phase on the way is not given out before it has waited for `patience`.
    pub(crate) async fn next(&self, patience: Duration) -> Entry {
        loop {
            let filled = self.filled.notified();
            let due = match self.lock().due(Instant::now(), patience) {
                Ok(entry) => return entry,
                Err(due) => due,
            };
            tokio::select! {
                () = filled => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Takes a message off, unless a newer one took its place meanwhile.
    pub(crate) fn sent(&self, entry: &Entry) {
        let mut waiting = self.lock();
        waiting.entries.retain(|kept| kept.id != entry.id);
        if waiting.entries.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// Waits until nothing waits.
    pub(crate) async fn drained(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // From here on no notification is missed.
            emptied.as_mut().enable();
            if self.lock().entries.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held; what it guards is whole at any time.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// The oldest message that may go, or when the next one may.
    fn due(&self, now: Instant, patience: Duration) -> Result<Entry, Option<Instant>> {
        let due_at = |entry: &Entry| match is_on_the_way(entry) {
            true => entry.since + patience,
            false => entry.since,
        };
        let due = self.entries.iter().find(|entry| due_at(entry) <= now);
        due.cloned()
            .ok_or_else(|| self.entries.iter().map(due_at).min())
    }

    fn push_status(&mut self, status: ConfigStatus) {
        self.entries.retain(|entry| match &entry.payload {
            Payload::ConfigStatus(kept) if kept.version == status.version => {
                kept.phase != status.phase && is_outcome(kept)
            }
            _ => true,
        });
        self.push(Payload::ConfigStatus(status));
    }

    fn push(&mut self, payload: Payload) {
        if self.entries.len() == CAPACITY {
            // A phase on the way says least, then the oldest of the rest.
            let least = self
                .entries
                .iter()
                .position(is_on_the_way)
                .unwrap_or_default();
            let lost = self.entries.remove(least);
            warn!(?lost, "the outbox is full, the master is not told");
        }
        let id = self.next_id;
        self.next_id += 1;
        self.entries.push_back(Entry {
            id,
            since: Instant::now(),
            payload,
        });
    }
}

fn is_on_the_way(entry: &Entry) -> bool {
    matches!(&entry.payload, Payload::ConfigStatus(status) if !is_outcome(status))
}

fn is_outcome(status: &ConfigStatus) -> bool {
    matches!(
        status.phase(),
        ConfigPhase::Applied
            | ConfigPhase::Rejected
            | ConfigPhase::RolledBack
            | ConfigPhase::HeldBack
    )
}

#[cfg(test)]
mod tests;

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
mod tests {
    use nxmesh_core::wire::Version;

    use super::*;

    fn status(revision: u64, phase: ConfigPhase, running: &str) -> ConfigStatus {
        ConfigStatus {
            version: Some(Version { epoch: 1, revision }),
            phase: phase.into(),
            running_digest: running.to_owned(),
            ..ConfigStatus::default()
        }
    }

    fn told(outbox: &Outbox) -> Vec<(u64, ConfigPhase, String)> {
        let waiting = outbox.lock();
        let statuses = waiting.entries.iter().map(|entry| match &entry.payload {
            Payload::ConfigStatus(status) => (
                status.version.unwrap_or_default().revision,
                status.phase(),
                status.running_digest.clone(),
            ),
            other => panic!("{other:?}"),
        });
        statuses.collect()
    }

    const PATIENCE: Duration = Duration::from_millis(500);

    #[tokio::test]
    async fn the_latest_of_a_version_and_phase_wins() {
        let outbox = Outbox::default();
        outbox.push_status(status(1, ConfigPhase::Applied, "a"));
        outbox.push_status(status(2, ConfigPhase::Rejected, "a"));
        let taken = outbox.next(PATIENCE).await;
        outbox.push_status(status(1, ConfigPhase::Applied, "again"));
        // What took the place of the message that was being sent is still to be sent.
        outbox.sent(&taken);
        assert_eq!(
            told(&outbox),
            [
                (2, ConfigPhase::Rejected, "a".to_owned()),
                (1, ConfigPhase::Applied, "again".to_owned())
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_apply_that_takes_its_time_tells_of_its_phases() {
        let outbox = Outbox::default();
        let next = async || {
            let entry = outbox.next(PATIENCE).await;
            outbox.sent(&entry);
            entry.payload
        };
        let phase = |payload: Payload| match payload {
            Payload::ConfigStatus(status) => status.phase(),
            other => panic!("{other:?}"),
        };
        let begun = Instant::now();
        outbox.push_status(status(1, ConfigPhase::Received, ""));
        outbox.push_status(status(1, ConfigPhase::Staged, ""));
        outbox.push_status(status(1, ConfigPhase::Applied, ""));
        assert_eq!(phase(next().await), ConfigPhase::Applied);
        assert!(told(&outbox).is_empty());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        outbox.push_status(status(2, ConfigPhase::Received, ""));
        assert_eq!(phase(next().await), ConfigPhase::Received);
        assert_eq!(begun.elapsed(), PATIENCE);
        // What waits for its time holds nothing up.
        outbox.push_status(status(2, ConfigPhase::Staged, ""));
        outbox.push_result(CommandResult::default());
        assert!(matches!(next().await, Payload::CommandResult(_)));
        assert_eq!(phase(next().await), ConfigPhase::Staged);
        assert_eq!(begun.elapsed(), PATIENCE * 2);
    }

    #[tokio::test]
    async fn a_new_session_hears_the_last_outcome_again() {
        let outbox = Outbox::default();
        outbox.push_status(status(7, ConfigPhase::Rejected, "a"));
        let taken = outbox.next(PATIENCE).await;
        outbox.sent(&taken);
        assert!(told(&outbox).is_empty());
        outbox.begin_session();
        assert_eq!(told(&outbox), [(7, ConfigPhase::Rejected, "a".to_owned())]);
        outbox.begin_session();
        assert_eq!(told(&outbox).len(), 1);
    }

    #[tokio::test]
    async fn what_an_island_has_to_tell_comes_in_order_and_the_newest_of_it() {
        let outbox = Outbox::default();
        let many = CAPACITY as u64 * 3;
        for revision in 0..many {
            outbox.push_status(status(revision, ConfigPhase::Received, ""));
            let phase = match revision % 2 {
                0 => ConfigPhase::Applied,
                _ => ConfigPhase::RolledBack,
            };
            outbox.push_status(status(revision, phase, ""));
        }
        outbox.begin_session();
        let mut heard = Vec::new();
        while heard.len() < CAPACITY {
            let entry = outbox.next(PATIENCE).await;
            outbox.sent(&entry);
            if let Payload::ConfigStatus(status) = entry.payload {
                heard.push(status.version.unwrap_or_default().revision);
            }
        }
        assert!(heard.is_sorted() && heard.last() == Some(&(many - 1)));
        assert_eq!(heard.first(), Some(&(many - CAPACITY as u64)));
        assert!(told(&outbox).is_empty());
    }

    #[test]
    fn outcomes_outlast_phases_when_it_is_full() {
        let outbox = Outbox::default();
        for revision in 0..CAPACITY as u64 {
            outbox.push_status(status(1000 + revision, ConfigPhase::Received, ""));
            outbox.push_status(status(revision, ConfigPhase::Rejected, ""));
        }
        let told = told(&outbox);
        assert_eq!(told.len(), CAPACITY);
        assert!(
            told.iter()
                .all(|(_, phase, _)| *phase == ConfigPhase::Rejected)
        );
    }
}

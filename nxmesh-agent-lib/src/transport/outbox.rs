//! What waits to be told to the master.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nxmesh_core::wire::{CommandResult, ConfigPhase, ConfigStatus, agent_message::Payload};
use tokio::sync::Notify;
use tracing::warn;

/// What waits at most. With the master away only newer versions add to it.
const CAPACITY: usize = 128;

/// Keeps statuses until a session takes them: the latest of each version and
/// phase, in the order they came. The outcome of the newest apply is told again
/// at the start of each session, as the one before may have lost it.
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
}

/// One message and its place in the outbox.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    id: u64,
    pub(crate) payload: Payload,
}

impl Outbox {
    /// Adds a status; an older one of the same version and phase goes.
    pub(crate) fn push_status(&self, status: ConfigStatus) {
        let mut waiting = self.lock();
        if is_outcome(&status) {
            waiting.last_outcome = Some(status.clone());
        }
        waiting.push_status(status);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Adds the result of a command.
    pub(crate) fn push_result(&self, result: CommandResult) {
        self.lock().push(Payload::CommandResult(result));
        self.filled.notify_one();
    }

    /// Readies the outbox for a new session.
    pub(crate) fn begin_session(&self) {
        let mut waiting = self.lock();
        if let Some(outcome) = waiting.last_outcome.clone() {
            waiting.push_status(outcome);
        }
    }

    /// Waits for the oldest message, which stays until it is [`sent`](Self::sent).
    pub(crate) async fn next(&self) -> Entry {
        loop {
            let filled = self.filled.notified();
            if let Some(entry) = self.lock().entries.front().cloned() {
                return entry;
            }
            filled.await;
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
    fn push_status(&mut self, status: ConfigStatus) {
        self.entries.retain(|entry| match &entry.payload {
            Payload::ConfigStatus(kept) => {
                (kept.version, kept.phase) != (status.version, status.phase)
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
                .position(|entry| matches!(&entry.payload, Payload::ConfigStatus(status) if !is_outcome(status)))
                .unwrap_or_default();
            let lost = self.entries.remove(least);
            warn!(?lost, "the outbox is full, the master is not told");
        }
        let id = self.next_id;
        self.next_id += 1;
        self.entries.push_back(Entry { id, payload });
    }
}

fn is_outcome(status: &ConfigStatus) -> bool {
    matches!(
        status.phase(),
        ConfigPhase::Applied | ConfigPhase::Rejected | ConfigPhase::RolledBack
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

    #[tokio::test]
    async fn the_latest_of_a_version_and_phase_wins() {
        let outbox = Outbox::default();
        outbox.push_status(status(1, ConfigPhase::Received, ""));
        outbox.push_status(status(1, ConfigPhase::Applied, "a"));
        let taken = outbox.next().await;
        outbox.push_status(status(1, ConfigPhase::Received, "again"));
        // What took the place of the message that was being sent is still to be sent.
        outbox.sent(&taken);
        assert_eq!(
            told(&outbox),
            [
                (1, ConfigPhase::Applied, "a".to_owned()),
                (1, ConfigPhase::Received, "again".to_owned())
            ]
        );
    }

    #[tokio::test]
    async fn a_new_session_hears_the_last_outcome_again() {
        let outbox = Outbox::default();
        outbox.push_status(status(7, ConfigPhase::Rejected, "a"));
        let taken = outbox.next().await;
        outbox.sent(&taken);
        assert!(told(&outbox).is_empty());
        outbox.begin_session();
        assert_eq!(told(&outbox), [(7, ConfigPhase::Rejected, "a".to_owned())]);
        outbox.begin_session();
        assert_eq!(told(&outbox).len(), 1);
    }

    #[test]
    fn outcomes_outlast_phases_when_it_is_full() {
        let outbox = Outbox::default();
        for revision in 0..CAPACITY as u64 {
            outbox.push_status(status(revision, ConfigPhase::Received, ""));
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

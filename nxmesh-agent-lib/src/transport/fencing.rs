//! The number that tells an agent's newer connection from its older ones.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use nxmesh_core::contract::clock::Clock;

use crate::apply::disk;

/// A count of connections that outlives the agent. Masters end a session when
/// one with a higher number opens, and refuse a lower one.
///
/// It begins with the time in milliseconds, which no count of connections rises as
/// fast as: so whatever the disk forgets or does not take, the time makes up for.
#[derive(Debug)]
pub(crate) struct ConnectionSequence {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// What the disk may not have.
    last: Mutex<Option<u64>>,
    /// Whether the last number led to no session: a master may know a higher one,
    /// from an agent that could not store it.
    in_vain: AtomicBool,
}

/// A number, and whether the next agent will know of it.
#[derive(Debug)]
pub(crate) struct Raised {
    pub(crate) number: u64,
    pub(crate) kept: io::Result<()>,
}

impl ConnectionSequence {
    /// The count kept in the file at `path`.
    pub(crate) const fn new(path: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self {
            path,
            clock,
            last: Mutex::new(None),
            in_vain: AtomicBool::new(false),
        }
    }

    /// The next number, which is on disk before it is returned, if the disk takes it.
    pub(crate) async fn raise(&self) -> Raised {
        let (path, now) = (self.path.clone(), self.clock.unix_millis());
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let in_vain = self.in_vain.swap(true, Ordering::Relaxed);
        let raised = tokio::task::spawn_blocking(move || {
            let kept: Option<u64> = disk::read_json(&path).unwrap_or_else(|error| {
                tracing::error!(path = %path.display(), %error, "the count of connections cannot be read");
                None
            });
            let last = kept.max(last);
            let next = last.unwrap_or(now).saturating_add(1);
            let next = if in_vain { next.max(now) } else { next };
            match disk::replace_json(&path, &next) {
                Ok(()) => Raised {
                    number: next,
                    kept: Ok(()),
                },
                error => Raised {
                    number: next.max(now),
                    kept: error,
                },
            }
        });
        let raised = raised.await.unwrap_or_else(|error| Raised {
            number: last.unwrap_or(now).saturating_add(1).max(now),
            kept: Err(io::Error::other(error)),
        });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(raised.number);
        raised
    }

    /// The last number led to a session.
    pub(crate) fn welcomed(&self) {
        self.in_vain.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nxmesh_core::memory::ManualClock;

    use super::*;

    fn sequence(path: &std::path::Path, clock: &ManualClock) -> ConnectionSequence {
        ConnectionSequence::new(path.to_owned(), Arc::new(clock.clone()))
    }

    #[tokio::test]
    async fn the_number_rises_by_one_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connection-sequence");
        let clock = ManualClock::at_unix_millis(1_000);
        for expected in 1_001..1_005 {
            let raised = sequence(&path, &clock).raise().await;
            assert_eq!(raised.number, expected);
            raised.kept.unwrap();
            clock.advance(Duration::from_secs(3600));
        }
    }

    #[tokio::test]
    async fn whatever_becomes_of_the_file_the_number_rises() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connection-sequence");
        // As counts were begun before.
        std::fs::write(&path, "400\n").unwrap();
        let clock = ManualClock::at_unix_millis(1_000);
        let mut last = sequence(&path, &clock).raise().await.number;
        assert_eq!(last, 401);
        for damage in [Some(""), Some("x"), Some("4"), Some("4\n0"), None] {
            match damage {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            clock.advance(Duration::from_millis(10));
            for _ in 0..2 {
                let next = sequence(&path, &clock).raise().await.number;
                assert!(next > last, "{damage:?}: {next} after {last}");
                last = next;
            }
        }
    }

    /// Whoever comes after an agent that could not store its numbers gets past them.
    #[tokio::test]
    async fn what_cannot_be_kept_is_made_up_for_by_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connection-sequence");
        std::fs::write(&path, "400\n").unwrap();
        let nowhere = folder.path().join("nowhere/connection-sequence");
        let clock = ManualClock::at_unix_millis(1_000);
        let mut last = 400;
        for _ in 0..2 {
            let unkept = sequence(&nowhere, &clock);
            for _ in 0..3 {
                let raised = unkept.raise().await;
                assert!(raised.kept.is_err());
                assert!(raised.number > last, "{raised:?} after {last}");
                last = raised.number;
                unkept.welcomed();
            }
            clock.advance(Duration::from_millis(10));
        }
        let next = sequence(&path, &clock);
        assert_eq!(next.raise().await.number, 401);
        let raised = next.raise().await;
        assert!(raised.number > last, "{raised:?} after {last}");
        next.welcomed();
        assert_eq!(next.raise().await.number, raised.number + 1);
    }
}

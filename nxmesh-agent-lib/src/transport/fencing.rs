//! The number that tells an agent's newer connection from its older ones.

use std::{io, path::PathBuf, sync::Arc};

use nxmesh_core::contract::clock::Clock;

use crate::apply::disk;

/// A count of connections that outlives the agent. Masters end a session when
/// one with a higher number opens, and refuse a lower one.
#[derive(Debug)]
pub(crate) struct ConnectionSequence {
    path: PathBuf,
    clock: Arc<dyn Clock>,
}

impl ConnectionSequence {
    /// The count kept in the file at `path`. Where there is none yet, or none
    /// any more, it goes on from the time in milliseconds: no count of
    /// connections rises as fast.
    pub(crate) const fn new(path: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { path, clock }
    }

    /// The next number, which is on disk before it is returned.
    pub(crate) async fn raise(&self) -> io::Result<u64> {
        let (path, now) = (self.path.clone(), self.clock.unix_millis());
        tokio::task::spawn_blocking(move || {
            let last: Option<u64> = match disk::read_json(&path) {
                Err(error) if disk::is_damage(&error) => {
                    tracing::error!(path = %path.display(), %error, "the count of connections is damaged");
                    None
                }
                read => read?,
            };
            let next = last.unwrap_or(now).saturating_add(1);
            disk::replace_json(&path, &next)?;
            Ok(next)
        })
        .await
        .map_err(io::Error::other)?
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
            let number = sequence(&path, &clock).raise().await.unwrap();
            assert_eq!(number, expected);
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
        let mut last = sequence(&path, &clock).raise().await.unwrap();
        assert_eq!(last, 401);
        for damage in [Some(""), Some("x"), Some("4"), Some("4\n0"), None] {
            match damage {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            clock.advance(Duration::from_millis(10));
            for _ in 0..2 {
                let next = sequence(&path, &clock).raise().await.unwrap();
                assert!(next > last, "{damage:?}: {next} after {last}");
                last = next;
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_no_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nowhere/connection-sequence");
        let clock = ManualClock::default();
        assert!(sequence(&path, &clock).raise().await.is_err());
    }
}

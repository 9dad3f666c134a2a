//! Since when the master is away, kept over restarts of the agent.

use std::path::PathBuf;

use tokio::sync::watch;
use tracing::debug;

use crate::{
    apply::disk,
    status::{AgentStatus, ConnectionState},
};

/// A file that says so for as long as the master is away.
#[derive(Debug)]
pub(crate) struct IslandMark {
    path: PathBuf,
    stored: Option<u64>,
}

impl IslandMark {
    /// Reads the mark in the file at `path`. One that cannot be read is none, nor is
    /// one from after `now`, in Unix milliseconds: the clock was set.
    pub(crate) fn load(path: PathBuf, now: u64) -> Self {
        let stored = disk::read_json(&path).ok().flatten();
        let stored = stored.filter(|since| *since <= now);
        Self { path, stored }
    }

    /// Since when the master was away when this was last stored.
    pub(crate) const fn since(&self) -> Option<u64> {
        self.stored
    }

    /// Stores every change until it is dropped.
    pub(crate) async fn follow(mut self, mut status: watch::Receiver<AgentStatus>) {
        loop {
            let (since, ready) = {
                let status = status.borrow_and_update();
                let ready = status.connection.state == ConnectionState::Ready;
                (status.island_since, ready)
            };
            // Before the first attempt has ended nobody knows.
            if (since.is_some() || ready) && since != self.stored {
                self.store(since);
            }
            if status.changed().await.is_err() {
                return;
            }
        }
    }

    fn store(&mut self, since: Option<u64>) {
        let stored = match since {
            Some(since) => disk::replace_json(&self.path, &since),
            None => disk::remove_file(&self.path),
        };
        match stored {
            Ok(()) => self.stored = since,
            Err(error) => debug!(%error, "since when the master is away could not be stored"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_outlives_the_agent_and_goes_with_the_island() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("island");
        let load = |now| IslandMark::load(path.clone(), now);
        assert_eq!(load(9).since(), None);
        load(9).store(Some(7));
        assert_eq!(load(9).since(), Some(7));
        assert_eq!(load(6).since(), None, "the clock was set back");
        load(9).store(None);
        assert_eq!(load(9).since(), None);
        std::fs::write(&path, "7x").unwrap();
        assert_eq!(load(9).since(), None);
    }
}

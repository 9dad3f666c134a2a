//! The number that tells an agent's newer connection from its older ones.

use std::{io, path::PathBuf};

use crate::apply::disk;

/// A count of connections that outlives the agent. Masters end a session when
/// one with a higher number opens.
#[derive(Debug)]
pub(crate) struct ConnectionSequence {
    path: PathBuf,
}

impl ConnectionSequence {
    /// The count kept in the file at `path`; from 1 if there is none yet.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The next number, which is on disk before it is returned.
    pub(crate) async fn raise(&self) -> io::Result<u64> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || {
            let last: Option<u64> = disk::read_json(&path)?;
            let next = last.unwrap_or(0).saturating_add(1);
            disk::replace_json(&path, &next)?;
            Ok(next)
        })
        .await
        .map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_number_rises_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connection-sequence");
        for expected in 1..=3 {
            let sequence = ConnectionSequence::new(path.clone());
            assert_eq!(sequence.raise().await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_not_a_new_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connection-sequence");
        std::fs::write(&path, "x").unwrap();
        assert!(ConnectionSequence::new(path).raise().await.is_err());
    }
}

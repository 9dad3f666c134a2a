//! Whether an operator has told the agent to take no new version.

use std::{io, path::PathBuf};

use crate::apply::disk;

/// A file that says so for as long as it is there, whatever becomes of the agent.
#[derive(Debug)]
pub(super) struct DrainMark {
    path: PathBuf,
    set: bool,
}

impl DrainMark {
    /// Reads the mark in the file at `path`. One that cannot be looked at
    /// counts as set: to wait does less harm than to apply.
    pub(super) fn load(path: PathBuf) -> Self {
        let set = path.try_exists().unwrap_or(true);
        Self { path, set }
    }

    pub(super) const fn is_set(&self) -> bool {
        self.set
    }

    /// Sets the mark or takes it away; it is on disk when this returns.
    pub(super) fn change(&mut self, set: bool) -> io::Result<()> {
        if set {
            disk::replace_json(&self.path, &true)?;
        } else {
            disk::remove_file(&self.path)?;
            disk::sync(
                &self
                    .path
                    .parent()
                    .map(PathBuf::from)
                    .into_iter()
                    .collect::<Vec<_>>(),
            )?;
        }
        self.set = set;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_outlives_the_agent_and_can_be_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drained");
        let mut mark = DrainMark::load(path.clone());
        assert!(!mark.is_set());
        for set in [true, true, false, false] {
            mark.change(set).unwrap();
            assert_eq!(mark.is_set(), set);
            mark = DrainMark::load(path.clone());
            assert_eq!(mark.is_set(), set);
        }
    }

    #[test]
    fn what_cannot_be_stored_is_not_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = DrainMark::load(folder.path().join("nowhere/drained"));
        assert!(mark.change(true).is_err());
        assert!(!mark.is_set());
    }
}

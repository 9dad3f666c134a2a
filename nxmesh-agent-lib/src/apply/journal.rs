//! What is under way: written before the switch, removed once it is settled.

use std::io;

use nxmesh_core::contract::clock::Clock;
use serde::{Deserialize, Serialize};

use super::{AppliedState, disk};
use crate::nginx::Layout;

/// A switch from one release to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    /// What will be applied once it is confirmed.
    pub(super) to: AppliedState,
    /// The release to go back to; `None` for the time before the first one.
    pub(super) from: Option<String>,
    /// When it began, for people who read the file.
    began_unix_millis: u64,
}

impl Switch {
    pub(super) fn new(to: AppliedState, from: Option<String>, clock: &dyn Clock) -> Self {
        Self {
            to,
            from,
            began_unix_millis: clock.unix_millis(),
        }
    }

    /// Writes the intention down. It survives a crash of this process; lost
    /// or torn in a power cut, it only means that recovery goes back instead
    /// of forward: an entry that leads to a release that was never seen
    /// serving is led to the last one that was.
    pub(super) fn write(&self, layout: &Layout) -> io::Result<()> {
        disk::replace_unsynced(&layout.journal(), &disk::json(self)?, 0o600)
    }

    /// The switch that was under way. A file that cannot be read means none:
    /// the journal is whole before the entry is touched.
    pub(super) fn read(layout: &Layout) -> io::Result<Option<Self>> {
        match disk::read_json(&layout.journal()) {
            Err(error) if disk::is_damage(&error) => Ok(None),
            other => other,
        }
    }

    /// Forgets it. Found again after a power cut it only costs a confirmation.
    pub(super) fn settled(layout: &Layout) -> io::Result<()> {
        disk::take_away(&layout.journal())
    }
}

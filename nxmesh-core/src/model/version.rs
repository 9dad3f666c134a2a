//! Versions of the desired state.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point in the history of the desired state. Orders by epoch, then revision.
///
/// The epoch rises only when history may have been cut, by an audited command;
/// undoing a change is a new revision with old content, so versions only rise.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// From 1.
    pub epoch: u64,
    /// From 1; 0 is the state before the first change.
    pub revision: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.revision)
    }
}

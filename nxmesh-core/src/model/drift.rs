//! Files of nginx that somebody else changed.

use serde::{Deserialize, Serialize};

/// Files of an nginx that are not as its agent wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Since when, in Unix milliseconds on the agent's clock.
    pub since: u64,
    /// The files, [`FILES`](Self::FILES) at most.
    pub files: Vec<DriftedFile>,
    /// How many more there are.
    #[serde(default)]
    pub more: u64,
    /// Whether nginx has read its files since, so that it may serve what was
    /// changed. Stays so after the files are mended, until it reads those.
    pub loaded: bool,
    /// A unified diff of what can be shown, from what was written to what is
    /// there; cut off after [`DIFF_BYTES`](Self::DIFF_BYTES). Never holds what a
    /// file of secrets says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// Why the files could not be repaired, if that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Drift {
    /// The most files that are named.
    pub const FILES: usize = 32;
    /// The most that is shown of a diff.
    pub const DIFF_BYTES: usize = 8 << 10;
}

/// A file that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftedFile {
    /// Relative to the agent's folders: `releases/1.7-…/virtual-hosts/….conf`.
    pub path: String,
    /// What became of it.
    pub change: FileChange,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    /// It says something else, or is no plain file any more.
    Changed,
    /// It is gone.
    Missing,
    /// It is not the agent's.
    Foreign,
}

//! Who did what to what, and what came of it.

use async_trait::async_trait;

use super::StorageError;
use crate::model::value::WorkspaceName;

/// Something that was done, or tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// Unix milliseconds.
    pub at: u64,
    /// Who did it: a user's name, or `agent/…` or `master` for what nobody asked for.
    pub actor: String,
    /// What was done, as `resource:action`, for example `agent:reload`.
    pub action: String,
    /// Where; `None` if it belongs to no workspace.
    pub workspace: Option<WorkspaceName>,
    /// To what, for example `agent/0190f3a1-…`.
    pub subject: String,
    /// Joins the entries about one act, for example a command's id; may be empty.
    pub act: String,
    /// What came of it, in a word: `asked`, `done`, `failed`, `refused`, `expired`.
    pub outcome: String,
    /// The same in a sentence; may be empty. Never holds a secret.
    pub detail: String,
}

/// An entry as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place in the log, from 1.
    pub number: u64,
    /// What it says.
    pub entry: NewAuditEntry,
}

/// Which entries to list.
#[derive(Debug, Clone)]
pub struct ListAudit {
    /// Of this workspace; `None`: all, also those of no workspace.
    pub workspace: Option<WorkspaceName>,
    /// Those above this number, rising; with `newest_first` those below it, falling.
    pub after: u64,
    /// At most this many.
    pub limit: u32,
    /// Whether the newest comes first.
    pub newest_first: bool,
}

/// The audit log. Nothing changes or removes an entry.
#[async_trait]
pub trait AuditStore: Send {
    /// Adds an entry as the next (clause 9 of [`Storage`](super::Storage)).
    async fn append(&mut self, entry: NewAuditEntry) -> Result<AuditEntry, StorageError>;

    /// Lists entries in the order the query wants.
    async fn list(&mut self, query: &ListAudit) -> Result<Vec<AuditEntry>, StorageError>;
}

//! Commands to agents, and the audit log.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::model::{
    AgentId,
    value::{ValueError, WorkspaceName},
};

/// What an agent can be told to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandKind {
    /// Reload nginx, and see new workers serve.
    Reload,
    /// Look whether nginx and its files are as they should be.
    Recheck,
    /// End nginx, gracefully first, and start it anew.
    Restart,
    /// Take no new version until `undrain`; nginx goes on serving what it serves.
    Drain,
    /// Take new versions again.
    Undrain,
    /// Sign with another key from now on.
    RotateKey,
}

impl CommandKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Reload,
        Self::Recheck,
        Self::Restart,
        Self::Drain,
        Self::Undrain,
        Self::RotateKey,
    ];

    /// As it is written: `rotate-key`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Recheck => "recheck",
            Self::Restart => "restart",
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::RotateKey => "rotate-key",
        }
    }

    /// The permission it takes, as `resource:action`.
    #[must_use]
    pub const fn permission(self) -> &'static str {
        match self {
            Self::Reload => "agent:reload",
            Self::Recheck => "agent:recheck",
            Self::Restart => "agent:restart",
            Self::Drain | Self::Undrain => "agent:drain",
            Self::RotateKey => "agent:rotate-key",
        }
    }
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CommandKind {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or(ValueError {
            rule: "a command is one of reload, recheck, restart, drain, undrain and rotate-key",
            example: "reload",
        })
    }
}

/// `POST /api/v1/workspaces/{w}/agents/{id}/commands`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandRequest {
    /// What to do.
    pub kind: CommandKind,
    /// Seconds the agent has for it, 1 to 600. Default: 60.
    #[serde(default = "one_minute")]
    pub timeout_seconds: u64,
}

const fn one_minute() -> u64 {
    60
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// No result yet.
    Waiting,
    /// The agent did it.
    Done,
    /// The agent could not do it, or it did not get there.
    Failed,
    /// No result came in time; it may have been done. One that comes late
    /// still takes the place of this.
    Expired,
}

impl CommandState {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

/// A command and what came of it. A master remembers the newest 1000; the audit
/// log has them all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandView {
    /// Its identity.
    pub id: String,
    /// Whom it was given to.
    pub agent: AgentId,
    /// What to do.
    pub kind: CommandKind,
    /// Who gave it.
    pub by: String,
    /// When, in Unix milliseconds.
    pub at: u64,
    /// Until when the agent has to answer, in Unix milliseconds.
    pub deadline: u64,
    /// How far it is.
    pub state: CommandState,
    /// What the agent found, or why it failed; may be empty.
    pub message: String,
}

/// A line of the answer to `GET /api/v1/workspaces/{w}/agents/{id}/logs`. One
/// without anything only shows that the master is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// Lines of nginx's error log. Clients of nginx have a say in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// Lines that are missing before these.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Why nothing follows; empty if all that was asked for is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An entry of the audit log: `GET /api/v1/audit`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditView {
    /// Its place in the log, from 1.
    pub number: u64,
    /// Unix milliseconds.
    pub at: u64,
    /// Who did it.
    pub actor: String,
    /// What was done, as `resource:action`.
    pub action: String,
    /// Where; absent if it belongs to no workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceName>,
    /// To what.
    pub subject: String,
    /// Joins the entries about one act; may be empty.
    pub act: String,
    /// What came of it, in a word.
    pub outcome: String,
    /// The same in a sentence; may be empty.
    pub detail: String,
}

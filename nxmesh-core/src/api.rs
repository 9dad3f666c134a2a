//! The JSON documents of the REST interface that are not resources: what the
//! master answers and its clients read.
//!
//! Fields are only ever added within `/api/v1`; clients ignore what they do
//! not know.

mod command;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use command::{AuditView, CommandKind, CommandRequest, CommandState, CommandView, LogEvent};

use crate::{
    digest::Digest,
    document::Problem,
    model::{
        AgentHealth, AgentId, AgentMetrics, ApplyFailure, ConfigPhase, Drift, Labels, NginxFacts,
        NginxHealth, Quarantine, ResourceKey, Version, value::WorkspaceName,
    },
};

/// `POST /api/v1/auth/login`
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: String,
}

impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The answer to a login.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginResponse {
    /// A JWT to send as `Authorization: Bearer …`.
    pub access_token: String,
    /// `Bearer`
    pub token_type: String,
    /// Seconds the token is good for.
    pub expires_in: u64,
}

impl std::fmt::Debug for LoginResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginResponse")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, ordered by their key.
    pub items: Vec<T>,
    /// Pass as `cursor` to get what follows; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What became of one resource in a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there before.
    Created,
    /// It has new content.
    Updated,
    /// It is gone.
    Deleted,
    /// It was as wanted already.
    Unchanged,
}

/// One resource of a write or of a revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// Which resource, as `kind/name`.
    pub resource: ResourceKey,
    /// What became of it.
    pub change: ChangeKind,
    /// The document before, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The document after, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The answer to every write: `PUT`, `DELETE`, `apply` and `undo`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriteResponse {
    /// The revision made; absent if nothing changed, and on a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Whether this was only tried.
    #[serde(default)]
    pub dry_run: bool,
    /// What changed, by key.
    pub changes: Vec<Change>,
    /// The agents whose configuration changes.
    pub agents: Vec<AgentId>,
    /// The agents whose configuration has, or had, any of the resources named, whether
    /// these change or not; absent from a master that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concerned: Option<Vec<AgentId>>,
    /// What is allowed but worth a look, in plain words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The answer to `POST /api/v1/workspaces/{w}/plan`: what a write would do, down
/// to the files of nginx. Nothing is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanResponse {
    /// The version of nginx the files are for.
    pub nginx_version: String,
    /// What changes, by key.
    pub changes: Vec<Change>,
    /// The agents whose configuration changes.
    pub agents: Vec<AgentId>,
    /// What is allowed but worth a look, in plain words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The files that differ, by path.
    pub files: Vec<FileChange>,
    /// How many files stay as they are.
    pub unchanged: usize,
}

/// A file of nginx that a write would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Within the tree.
    pub path: String,
    /// The resource it says; absent for what belongs to no single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceKey>,
    /// What becomes of it.
    pub change: ChangeKind,
    /// What it says now; absent if it is new, or if the answer would be too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it would say; absent if it goes, or if the answer would be too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether the texts were left out, since those of the files before it are
    /// 8 MiB already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub omitted: bool,
}

/// A committed revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevisionView {
    /// Its place in history.
    pub version: Version,
    /// Its workspace.
    pub workspace: WorkspaceName,
    /// Who made it.
    pub author: String,
    /// Why.
    pub message: String,
    /// Unix milliseconds.
    pub at: u64,
    /// What changed; in lists without the documents.
    pub changes: Vec<Change>,
}

/// How far one agent is with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressState {
    /// Not offered yet: the agent is busy, or was never connected.
    Pending,
    /// Offered.
    Sent,
    /// Written to the agent's disk and accepted by `nginx -t`.
    Staged,
    /// Seen serving, this version or a newer one.
    Applied,
    /// Refused; what it served before still serves, unless nginx is down.
    Rejected,
    /// Failed after the switch; what it served before serves again, unless nginx is down.
    RolledBack,
    /// Some resources keep their last good form, all others of this version serve.
    HeldBack,
    /// The agent is not connected; it will get the version when it returns.
    Disconnected,
    /// The agent was told to take no new version; it is not waited for.
    Drained,
}

impl ProgressState {
    /// Whether the version failed on the agent, as a whole or in part.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Rejected | Self::RolledBack | Self::HeldBack)
    }

    /// The state of an agent on which a version failed in this way.
    #[must_use]
    pub const fn after(failure: &ApplyFailure) -> Self {
        match failure.phase {
            ConfigPhase::RolledBack => Self::RolledBack,
            ConfigPhase::HeldBack => Self::HeldBack,
            _ => Self::Rejected,
        }
    }

    /// Whether the agent will not move on by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Applied | Self::Drained) || self.is_failure()
    }
}

/// One agent's progress with a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentProgress {
    /// The agent.
    pub id: AgentId,
    /// As the agent tells.
    pub hostname: String,
    /// How far it is.
    pub state: ProgressState,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ApplyFailure>,
    /// Set if it failed and the agent tells that its nginx does not run, or does not
    /// answer: then nothing of what it had is served either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub down: bool,
}

/// `GET /api/v1/workspaces/{w}/rollouts/{revision}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutView {
    /// The version.
    pub version: Version,
    /// Every agent it concerns, by id.
    pub agents: Vec<AgentProgress>,
    /// Whether every agent is in a final state, or has been away for so long (10 s
    /// by default) that waiting for it makes no sense.
    pub done: bool,
    /// Pass as `seen` together with `wait` (seconds, at most 30) to be answered
    /// once something differs.
    pub tag: String,
}

/// An agent with its four facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentView {
    /// Its identity.
    pub id: AgentId,
    /// The workspace it serves.
    pub workspace: WorkspaceName,
    /// As the agent tells.
    pub hostname: String,
    /// What selectors look at.
    pub labels: Labels,
    /// Whether it holds a session with this master.
    pub connected: bool,
    /// Unix milliseconds; 0 if never.
    pub last_seen_at: u64,
    /// Unix milliseconds.
    pub enrolled_at: u64,
    /// As the agent tells.
    pub agent_version: String,
    /// As the agent tells.
    pub nginx_version: String,
    /// As the agent tells; absent until it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nginx: Option<NginxFacts>,
    /// How its nginx is, as the agent tells; absent until it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<NginxHealth>,
    /// What it measured last; in the view of one agent only, and absent until it told
    /// this master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<AgentHealth>,
    /// What it counted last; in the view of one agent only, and absent until it told
    /// this master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsView>,
    /// Set while files of its nginx are not as the agent wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// The version it ought to serve; absent if none concerns it.
    pub desired: Option<Version>,
    /// The newest version offered to it.
    pub sent: Option<Version>,
    /// The newest version it staged and checked.
    pub staged: Option<Version>,
    /// The newest version nginx was seen serving.
    pub applied: Option<Version>,
    /// The digest of the release nginx was seen serving when it last spoke.
    pub running: Option<Digest>,
    /// Whether its nginx serves exactly what it ought to, as far as is known: not
    /// while it is down or does not answer, nor while files it reads were changed.
    pub in_sync: bool,
    /// Whether it takes no new version, since an operator said so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// Set while two machines claim to be this agent: neither is served until
    /// somebody decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// The newest failure, if what it says is still so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ApplyFailure>,
    /// What it signs with; absent from a master that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyView>,
}

impl AgentView {
    /// Whether the agent tells that its nginx does not run, or does not answer.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.health.as_ref().is_some_and(|nginx| !nginx.is_well())
    }
}

/// The key of an agent, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Names it.
    pub id: String,
    /// Since when it is the agent's, in Unix milliseconds.
    pub since: u64,
    /// Set while another is to take its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextKeyView>,
}

/// A key on offer, that the agent was not seen using yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextKeyView {
    /// Names it.
    pub id: String,
    /// Since when it is on offer, in Unix milliseconds.
    pub since: u64,
    /// Why the agent could not take it, as it told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What an agent counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsView {
    /// When the master was told, in Unix milliseconds.
    pub at: u64,
    /// Requests a minute of late, those of the agent included: between the last two
    /// times the master was told. Absent until it was told twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// The figures.
    #[serde(flatten)]
    pub figures: AgentMetrics,
}

/// `POST /api/v1/workspaces/{w}/agents/bootstrap-tokens`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapTokenRequest {
    /// The labels the agent gets. Default: none.
    #[serde(default)]
    pub labels: Labels,
    /// Seconds the token is good for, 60 to 2592000. Default: 3600.
    #[serde(default = "one_hour")]
    pub ttl_seconds: u64,
}

fn one_hour() -> u64 {
    3600
}

/// A new bootstrap token; the only time it is shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct BootstrapTokenResponse {
    /// Admits one agent.
    pub token: String,
    /// Unix milliseconds.
    pub expires_at: u64,
    /// Where agents connect, as this master knows it.
    pub master_url: String,
    /// PEM of the authority agents verify the master with.
    pub ca_pem: String,
}

impl std::fmt::Debug for BootstrapTokenResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BootstrapTokenResponse")
            .field("expires_at", &self.expires_at)
            .field("master_url", &self.master_url)
            .finish_non_exhaustive()
    }
}

/// An error, `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProblemDetails {
    /// Names the kind of problem; stable.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what helps.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The request's id, as in the log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Stable, for example `NX-API-422`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// What is wrong with which value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Problem>,
}

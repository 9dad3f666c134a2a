//! What is known about an agent.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Drift, Version, value::ValueError};
use crate::digest::Digest;

/// The identity of an enrolled agent: a UUID in its hyphenated form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AgentId(Box<str>);

impl AgentId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentId {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let shape = text.len() == 36
            && text.bytes().enumerate().all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            });
        if shape {
            Ok(Self(text.into()))
        } else {
            Err(ValueError {
                rule: "an agent id is a UUID in lower case",
                example: "0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d",
            })
        }
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AgentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// The four facts about an agent's configuration, kept apart: what was sent,
/// what was staged and passed `nginx -t`, what was confirmed to be applied,
/// and what was last seen running.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentFacts {
    /// The newest version offered to it.
    pub sent: Option<Version>,
    /// The newest version it staged and checked.
    pub staged: Option<Version>,
    /// The newest version nginx was seen serving.
    pub applied: Option<Version>,
    /// The digest of the slice of `applied`.
    pub applied_digest: Option<Digest>,
    /// The digest of the release nginx was seen serving when the agent last spoke.
    pub running: Option<Digest>,
    /// The nginx beside it; absent until the agent told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nginx: Option<NginxFacts>,
    /// How that nginx is; absent until the agent told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<NginxHealth>,
    /// Set while files of that nginx are not as the agent wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// The newest version that failed, and why; gone once a newer one is applied.
    pub failure: Option<ApplyFailure>,
    /// Whether it takes no new version, since an operator said so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// Set while two machines claim to be it; nobody is served then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
}

/// Two machines with the identity of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// Since when, in Unix milliseconds on the master's clock.
    pub since: u64,
    /// What gave them away.
    pub reason: String,
}

/// What can be said to the nginx beside an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NginxFacts {
    /// The modules it was built with, as its `configure` calls them:
    /// `http_ssl_module`. Sorted.
    pub modules: Vec<String>,
    /// Whether the whole of `nginx.conf` is the agent's (mode full), and not only
    /// what is included in its block `http`.
    pub whole_conf: bool,
}

/// How the nginx beside an agent is, as the agent told last. Times are in Unix
/// milliseconds on the agent's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NginxHealth {
    /// Whether it runs.
    pub running: bool,
    /// Why it could not be brought up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Since when its processes are there and do not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<u64>,
    /// How often it was brought back since the agent started.
    #[serde(default)]
    pub restarts: u64,
    /// Since when restarts are held back, as there were too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back_since: Option<u64>,
}

impl NginxHealth {
    /// Whether it runs and answers, as far as is known.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.running && self.problem.is_none() && self.silent_since.is_none()
    }
}

/// Why a version was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyFailure {
    /// The version that failed.
    pub version: Version,
    /// `rejected`, `rolled_back` or `held_back`.
    pub phase: ConfigPhase,
    /// Stable, for example `NX-APPLY-003`.
    pub code: String,
    /// In nginx's words where they are its own.
    pub message: String,
    /// Whether the same version may succeed later.
    pub retryable: bool,
    /// `kind/name` of the resource at fault, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// With `held_back`, the resources that keep their last good form while
    /// all others of the version serve; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_back: Vec<HeldBack>,
}

/// A resource that keeps its last good form, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldBack {
    /// `kind/name`.
    pub resource: String,
    /// Stable, for example `NX-APPLY-005`.
    pub code: String,
    /// In nginx's words where they are its own.
    pub message: String,
}

/// How far a version has come on an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigPhase {
    /// Taken on and persisted.
    Received,
    /// Written to disk and accepted by `nginx -t`.
    Staged,
    /// Seen serving.
    Applied,
    /// Refused; the configuration before it still serves.
    Rejected,
    /// Failed after the switch; the configuration before it serves again.
    RolledBack,
    /// Some resources keep their last good form, all others serve.
    HeldBack,
}

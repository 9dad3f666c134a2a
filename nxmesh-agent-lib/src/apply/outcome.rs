//! What the pipeline is asked for and what it answers.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use nxmesh_core::{
    bundle::Slice,
    check::Disruption,
    contract::reloader::Generation,
    digest::Digest,
    model::{HeldBack, ResourceKey, Version},
};
use serde::{Deserialize, Serialize};

use super::marks::Server;

/// What nginx is to serve.
#[derive(Debug, Clone)]
pub struct Target {
    /// The version of the slice.
    pub version: Version,
    /// The resources.
    pub slice: Slice,
}

/// How far an apply has come, told while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The version is taken on and persisted.
    Received,
    /// The release is on disk and `nginx -t` accepts it.
    Staged,
}

/// How an apply ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// nginx was seen serving the version.
    Applied(Applied),
    /// nginx keeps what it served before; it never left it.
    Rejected(Failure),
    /// nginx had left what it served before and was brought back to it.
    RolledBack(Failure),
    /// nginx was seen serving the version but for some resources, which keep
    /// their last good form. Never a success. Only with
    /// [`BadResource::Isolate`](super::BadResource::Isolate).
    HeldBack(Partly),
}

/// A version nginx was seen serving.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The version.
    pub version: Version,
    /// The digest of its slice.
    pub digest: Digest,
    /// The digest of the release that serves it.
    pub release: Digest,
    /// Whether nginx was reloaded; not if the bytes were the same.
    pub reloaded: bool,
    /// What the reload could not do without dropping connections.
    pub disruptions: Vec<Disruption>,
    /// The steps in order and how long each took.
    pub durations: Vec<(&'static str, Duration)>,
}

/// Why a version is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable, for example `NX-APPLY-003`: see [`code`].
    pub code: &'static str,
    /// In nginx's words where they are its own.
    pub message: String,
    /// Whether the same version may succeed later.
    pub retryable: bool,
    /// The resource at fault, where it is known.
    pub resource: Option<ResourceKey>,
    /// The rendered file nginx names, relative to the release where it is ours.
    pub file: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<u32>,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retryable: false,
            resource: None,
            file: None,
            line: None,
        }
    }

    pub(crate) fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

/// The codes of [`Failure::code`].
pub mod code {
    /// The version is older than one taken on before.
    pub const STALE: &str = "NX-APPLY-001";
    /// The version was taken on before with other content.
    pub const CONFLICT: &str = "NX-APPLY-002";
    /// The resources could not be rendered.
    pub const RENDER: &str = "NX-APPLY-003";
    /// Files could not be written: disk full, read-only, permissions.
    pub const STAGE: &str = "NX-APPLY-004";
    /// `nginx -t` refused the configuration.
    pub const CHECK: &str = "NX-APPLY-005";
    /// nginx refused the configuration at the reload.
    pub const RELOAD: &str = "NX-APPLY-006";
    /// The new workers died, never came or could not be found.
    pub const GENERATION: &str = "NX-APPLY-007";
    /// nginx did not answer with the new release.
    pub const PROBE: &str = "NX-APPLY-008";
    /// A changed virtual host did not answer, or with another certificate.
    pub const VIRTUAL_HOST: &str = "NX-APPLY-009";
    /// The user's `nginx.conf` does not include our entry file.
    pub const NOT_INCLUDED: &str = "NX-APPLY-010";
    /// nginx could not be asked or signalled at all.
    pub const NGINX: &str = "NX-APPLY-011";
    /// Some resources keep their last good form, all others serve.
    pub const HELD_BACK: &str = "NX-APPLY-012";
    /// nginx would not start, so what serves was left alone.
    pub const WOULD_NOT_START: &str = "NX-APPLY-013";
}

/// What nginx was last seen serving. Persisted only after it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppliedState {
    /// The version.
    pub version: Version,
    /// The digest of its slice.
    pub digest: Digest,
    /// The digest of the release that serves it.
    pub release_digest: Digest,
    /// The name of that release's folder; a version with the same bytes as
    /// one before it is served from that one's folder.
    pub release: String,
    /// Set while not all of the version serves; then `digest` is that of what
    /// does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partly: Option<Partly>,
    /// Servers of upstreams that are marked down in it, as they failed their checks;
    /// sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marked_down: Vec<Server>,
}

impl AppliedState {
    /// The newest version that served as a whole, and the digest of its slice.
    #[must_use]
    pub fn whole(&self) -> Option<(Version, Digest)> {
        match &self.partly {
            None => Some((self.version, self.digest)),
            Some(partly) => partly.whole,
        }
    }
}

/// What of a version does not serve.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partly {
    /// The newest version that served as a whole, and the digest of its slice.
    pub whole: Option<(Version, Digest)>,
    /// The resources that keep their last good form, or are left out where there
    /// is none, and why; what cannot be without another of them comes last.
    pub held_back: Vec<HeldBack>,
    /// Whether one of them may be taken later.
    pub retryable: bool,
}

impl Partly {
    /// It as a failure of the whole version.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let names: Vec<&str> = self.held_back.iter().map(|held| &*held.resource).collect();
        let message = format!(
            "{} held back, in the last good form or left out where there is none; everything else of the version serves",
            match &names[..] {
                [one] => format!("{one} is"),
                all => format!("{} are", all.join(", ")),
            }
        );
        Failure {
            retryable: self.retryable,
            resource: names.first().and_then(|name| name.parse().ok()),
            ..Failure::new(code::HELD_BACK, message)
        }
    }
}

/// What [`Pipeline::recover`](super::Pipeline::recover) found and did.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// What nginx was seen serving at the end; `None` before the first apply.
    pub applied: Option<AppliedState>,
    /// The workers seen at the end.
    pub generation: Generation,
    /// Whether nginx had to be started.
    pub started: bool,
    /// Why a switch that was under way was undone; `None` if none was.
    pub undone: Option<Failure>,
}

/// What is true of nginx and the disk now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The workers; `None` if nginx does not run or cannot be looked at.
    pub generation: Option<Generation>,
    /// The release nginx names on its probe socket.
    pub serving: Option<String>,
    /// Whether that is the release of [`AppliedState`].
    pub serves_applied: bool,
    /// Whether its processes are there and its probe socket takes questions,
    /// yet nobody answers; or whether somebody has stopped one of them.
    pub silent: bool,
}

/// Why the pipeline could not be opened or nginx not be brought to a known state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// Another agent works in the same state folder.
    #[error("another agent holds the lock {path}")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file or folder of ours cannot be used.
    #[error("could not {action} {path}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's own error.
        source: std::io::Error,
    },
    /// nginx would not start anew, so the one that runs was left alone.
    #[error("nginx is not restarted, as it would not start again: {}", failure.message)]
    NotRestarted {
        /// What was seen, in nginx's words where they are its own.
        failure: Box<Failure>,
    },
    /// nginx could not be brought to serve what the disk says.
    #[error("nginx does not serve {release}: {}", failure.message)]
    NotServing {
        /// The release on disk; `no release` before the first one.
        release: String,
        /// What was seen, in nginx's words where they are its own.
        failure: Box<Failure>,
    },
}

impl PipelineError {
    pub(super) fn io(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

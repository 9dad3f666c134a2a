//! What the agent tells its master, from what it knows of itself.

use std::time::Duration;

use bytes::Bytes;
use nxmesh_core::{
    digest::Digest,
    model::{Drift, FileChange, Version},
    wire::{
        self, AgentMessage, ConfigFailure, ConfigPhase, ConfigStatus, HealthReport,
        RegistrationRequest, StepDuration, agent_message::Payload,
    },
};

use super::measured;
use crate::{
    apply::{Failure, Partly},
    status::AgentStatus,
};

/// The range of protocol versions this agent speaks.
pub(crate) const PROTOCOL: std::ops::RangeInclusive<u32> = 1..=1;

/// nginx can say more than anyone reads; a frame is 1 MiB at most.
const MAX_FAILURE_BYTES: usize = 16 << 10;

/// What the hello says of the agent that does not change while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Introduction {
    /// New at each start.
    pub(crate) boot_id: String,
    pub(crate) hostname: String,
    /// Empty if it could not be found out.
    pub(crate) nginx_version: String,
    /// Empty if they are not known.
    pub(crate) nginx_modules: Vec<String>,
    /// `full` or `include`.
    pub(crate) nginx_mode: &'static str,
}

/// What this build can do beyond the first protocol version.
pub(crate) fn capabilities() -> Vec<String> {
    ["config.delta", "config.bundle", "key.rotation"]
        .map(str::to_owned)
        .into()
}

pub(crate) fn message(timestamp: u64, payload: Payload) -> AgentMessage {
    AgentMessage {
        timestamp,
        payload: Some(payload),
        ..AgentMessage::default()
    }
}

/// The first message of a session.
pub(crate) fn hello(
    introduction: &Introduction,
    connection_sequence: u64,
    status: &AgentStatus,
) -> RegistrationRequest {
    RegistrationRequest {
        agent_id: status
            .agent_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        boot_id: introduction.boot_id.clone(),
        connection_sequence,
        protocol_min: *PROTOCOL.start(),
        protocol_max: *PROTOCOL.end(),
        capabilities: capabilities(),
        accepted: status.accepted.map(version),
        applied: status.applied.map(version),
        applied_digest: status.applied_digest.map(digest).unwrap_or_default(),
        running_digest: running(status),
        hostname: introduction.hostname.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        nginx_version: introduction.nginx_version.clone(),
        nginx_modules: introduction.nginx_modules.clone(),
        nginx_mode: introduction.nginx_mode.to_owned(),
        drained: status.drained,
    }
}

pub(crate) fn health(status: &AgentStatus, uptime: Duration) -> HealthReport {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut report = HealthReport {
        nginx_running: status.nginx.running,
        nginx_workers: count(status.nginx.workers),
        applied: status.applied.map(version),
        running_digest: running(status),
        draining_workers: count(status.nginx.draining),
        uptime_seconds: uptime.as_secs(),
        nginx_silent_since: status.nginx.silent_since.unwrap_or_default(),
        nginx_restarts: status.nginx.restarts,
        restarts_held_back_since: status.nginx.breaker.map_or(0, |breaker| breaker.since),
        nginx_problem: status
            .nginx
            .problem
            .as_deref()
            .map(shortened)
            .unwrap_or_default(),
        drained: status.drained,
        drift: status.drift.as_ref().map(drift),
        ..HealthReport::default()
    };
    measured::add(&mut report, &status.health);
    report
}

fn drift(drift: &Drift) -> wire::Drift {
    let files = drift.files.iter().map(|file| wire::DriftedFile {
        path: file.path.clone(),
        change: match file.change {
            FileChange::Changed => wire::FileChange::Changed,
            FileChange::Missing => wire::FileChange::Missing,
            FileChange::Foreign => wire::FileChange::Foreign,
        }
        .into(),
    });
    wire::Drift {
        since: drift.since,
        files: files.collect(),
        more: drift.more,
        loaded: drift.loaded,
        diff: drift.diff.clone(),
        problem: drift.problem.as_deref().map(shortened).unwrap_or_default(),
    }
}

/// A status about the slice `about` of version `of`.
pub(crate) fn config_status(
    of: Version,
    about: Bytes,
    phase: ConfigPhase,
    status: &AgentStatus,
) -> ConfigStatus {
    ConfigStatus {
        version: Some(version(of)),
        digest: about,
        phase: phase.into(),
        failure: None,
        durations: Vec::new(),
        applied: status.applied.map(version),
        running_digest: running(status),
        held_back: Vec::new(),
    }
}

fn shortened(message: &str) -> String {
    let mut message = message.to_owned();
    if message.len() > MAX_FAILURE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_FAILURE_BYTES));
        message.push('…');
    }
    message
}

pub(crate) fn held_back(partly: &Partly) -> Vec<ConfigFailure> {
    let told = partly.held_back.iter().map(|held| ConfigFailure {
        code: held.code.clone(),
        message: shortened(&held.message),
        resource: held.resource.clone(),
        ..ConfigFailure::default()
    });
    told.collect()
}

pub(crate) fn failure(failure: &Failure) -> ConfigFailure {
    ConfigFailure {
        code: failure.code.to_owned(),
        message: shortened(&failure.message),
        retryable: failure.retryable,
        resource: failure
            .resource
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        file: failure.file.clone().unwrap_or_default(),
        line: failure.line.unwrap_or_default(),
    }
}

pub(crate) fn durations(steps: &[(&'static str, Duration)]) -> Vec<StepDuration> {
    steps
        .iter()
        .map(|(step, took)| StepDuration {
            step: (*step).to_owned(),
            microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        })
        .collect()
}

pub(crate) fn version(version: Version) -> wire::Version {
    wire::Version {
        epoch: version.epoch,
        revision: version.revision,
    }
}

pub(crate) fn digest(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(digest.as_bytes())
}

fn running(status: &AgentStatus) -> String {
    status
        .serving()
        .map(|digest| digest.to_string())
        .unwrap_or_default()
}

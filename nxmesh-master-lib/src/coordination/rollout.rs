//! How far a version has come, from what is known of the agents.

use std::time::Duration;

use nxmesh_core::{
    api::{AgentProgress, AgentView, ProgressState, RolloutView},
    digest::Digest,
    model::{AgentFacts, NginxHealth, Version},
};
use tokio::time::Instant;

use super::{agent::Agent, slices::Target};

/// How far `version`, or a later one that contains it, is on an agent whose
/// target is `target`, which is cut at `head`.
pub(super) fn progress(
    agent: &Agent,
    target: &Target,
    head: Version,
    version: Version,
) -> AgentProgress {
    let state = state(agent, target, head, version);
    let record = &agent.record;
    AgentProgress {
        id: record.id.clone(),
        hostname: record.hostname.clone(),
        state,
        failure: record.facts.failure.clone().filter(|_| state.is_failure()),
        down: state.is_failure() && !is_well(&record.facts),
    }
}

fn state(agent: &Agent, target: &Target, head: Version, version: Version) -> ProgressState {
    let facts = &agent.record.facts;
    let connected = agent.session.is_some();
    let waiting = if connected {
        ProgressState::Pending
    } else {
        ProgressState::Disconnected
    };
    if facts.applied >= Some(version) {
        return ProgressState::Applied;
    }
    if head < version {
        return waiting;
    }
    if agent.serves(target) || (connected && agent.is_untouched(target)) {
        return ProgressState::Applied;
    }
    if facts.drained {
        return ProgressState::Drained;
    }
    if let Some(offer) = agent
        .offer
        .as_ref()
        .filter(|offer| offer.version >= version)
    {
        return if facts.staged >= Some(offer.version) {
            ProgressState::Staged
        } else {
            ProgressState::Sent
        };
    }
    let newest = agent.version_of(target, head);
    match &facts.failure {
        Some(failure) if failure.version >= version && Some(failure.version) >= newest => {
            ProgressState::after(failure)
        }
        _ => waiting,
    }
}

/// Puts a view together. It is done when every agent is where it will stay,
/// or has been away for longer than `grace`; and never before `version` was
/// taken in from the history, as whom it concerns is not known until then.
pub(super) fn view<'a>(
    version: Version,
    head: Version,
    agents: impl Iterator<Item = (AgentProgress, &'a Agent)>,
    now: Instant,
    grace: Duration,
) -> RolloutView {
    let mut done = head >= version;
    let mut progress: Vec<AgentProgress> = agents
        .map(|(progress, agent)| {
            let given_up = progress.state == ProgressState::Disconnected
                && now.duration_since(agent.away_since) >= grace;
            done &= progress.state.is_final() || given_up;
            progress
        })
        .collect();
    progress.sort_by(|a, b| (&a.hostname, &a.id).cmp(&(&b.hostname, &b.id)));
    let tag = serde_json::to_vec(&(&progress, done)).unwrap_or_default();
    RolloutView {
        version,
        agents: progress,
        done,
        tag: Digest::of(&tag).short(),
    }
}

/// Whether nothing is known against what the agent's nginx was seen serving last.
fn is_well(facts: &AgentFacts) -> bool {
    facts.health.as_ref().is_none_or(NginxHealth::is_well)
}

/// An agent as people are shown it: without the secrets of its keys.
pub(super) fn agent_view(agent: &Agent, target: &Target, head: Version) -> AgentView {
    let record = &agent.record;
    let facts = &record.facts;
    let untouched = agent.is_untouched(target);
    let serves = agent.serves(target);
    let desired = if untouched {
        None
    } else if serves {
        // An older version with the same content is as good.
        facts.applied
    } else {
        agent.version_of(target, head).or(Some(target.version))
    };
    AgentView {
        id: record.id.clone(),
        workspace: record.workspace.clone(),
        hostname: record.hostname.clone(),
        labels: record.labels.clone(),
        connected: agent.session.is_some(),
        last_seen_at: record.last_seen_at,
        enrolled_at: record.enrolled_at,
        agent_version: record.agent_version.clone(),
        nginx_version: record.nginx_version.clone(),
        nginx: facts.nginx.clone(),
        health: facts.health.clone(),
        measured: None,
        metrics: None,
        drift: facts.drift.clone(),
        desired,
        sent: facts.sent,
        staged: facts.staged,
        applied: facts.applied,
        running: facts.running,
        in_sync: facts.drift.is_none() && (untouched || serves && is_well(facts)),
        drained: facts.drained,
        quarantine: facts.quarantine.clone(),
        // What failed is not wanted any more once what is wanted is served.
        failure: facts.failure.clone().filter(|_| !serves),
        key: Some(agent.key_view()),
    }
}

//! Following a change to the agents it concerns.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use nxmesh_core::{
    api::{AgentProgress, AgentView, ProgressState, WriteResponse},
    model::AgentId,
};
use nxmesh_process::exit::Exit;

use crate::{client::Client, options::WaitArguments, output};

/// What became of a change on the agents, and the exit code that says it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    updated: usize,
    failed: usize,
    /// Not confirmed in the time given; they will get the change.
    skipped: usize,
    /// Told to take nothing; nobody waits for them.
    drained: usize,
}

impl Tally {
    fn of(agents: &[AgentProgress]) -> Self {
        let mut tally = Self::default();
        for agent in agents {
            match agent.state {
                ProgressState::Applied => tally.updated += 1,
                ProgressState::Drained => tally.drained += 1,
                state if state.is_failure() => tally.failed += 1,
                _ => tally.skipped += 1,
            }
        }
        tally
    }

    const fn exit(&self) -> Exit {
        match (self.updated, self.failed, self.skipped) {
            (_, 0, 0) => Exit::Success,
            (_, 0, _) => Exit::TimedOut,
            (0, _, 0) => Exit::RolloutFailed,
            _ => Exit::Partial,
        }
    }
}

/// Prints what a write did, then waits for its agents if that is wanted.
pub(crate) async fn report(
    client: &Client,
    written: &WriteResponse,
    wait: &WaitArguments,
) -> anyhow::Result<Exit> {
    for change in &written.changes {
        let verb = match change.change {
            nxmesh_core::api::ChangeKind::Created => "created",
            nxmesh_core::api::ChangeKind::Updated => "updated",
            nxmesh_core::api::ChangeKind::Deleted => "deleted",
            nxmesh_core::api::ChangeKind::Unchanged => "unchanged",
        };
        let tried = if written.dry_run { " (dry run)" } else { "" };
        output::line(&format!("{} {verb}{tried}", change.resource))?;
    }
    for warning in &written.warnings {
        eprintln!("warning: {warning}");
    }
    if written.dry_run {
        output::line(&format!("{} agents would change", written.agents.len()))?;
        return Ok(Exit::Success);
    }
    let deadline = Instant::now() + wait.timeout.as_duration();
    match written.version {
        Some(version) => {
            output::line(&format!("revision {}", version.revision))?;
            if wait.no_wait {
                return Ok(Exit::Success);
            }
            follow(client, version.revision, deadline).await
        }
        // Nothing new was stored, but what was stored before may still be on its way.
        None if wait.no_wait => Ok(Exit::Success),
        None => settle(client, written.concerned.as_deref(), deadline).await,
    }
}

/// Waits until every agent that `revision` concerns is done, a line per change of state.
pub(crate) async fn follow(
    client: &Client,
    revision: u64,
    deadline: Instant,
) -> anyhow::Result<Exit> {
    let mut shown = Shown::default();
    let mut seen: Option<String> = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let rollout = client.rollout(revision, seen.as_deref(), left).await?;
        shown.update(&rollout.agents)?;
        if rollout.done || deadline <= Instant::now() {
            return finish(&rollout.agents);
        }
        if seen.as_ref() == Some(&rollout.tag) {
            // The server answers early only when something changed; never spin if one does not.
            tokio::time::sleep(Duration::from_millis(100).min(left)).await;
        }
        seen = Some(rollout.tag);
    }
}

/// Waits until each of the agents `concerned`, or else of the workspace, serves what it
/// ought to.
async fn settle(
    client: &Client,
    concerned: Option<&[AgentId]>,
    deadline: Instant,
) -> anyhow::Result<Exit> {
    let concerns = |agent: &AgentView| concerned.is_none_or(|all| all.contains(&agent.id));
    let mut shown = Shown::default();
    let mut delay = Duration::from_millis(100);
    loop {
        let mut agents: Vec<AgentView> = client.list("agents", &[]).await?;
        agents.retain(concerns);
        let progress: Vec<AgentProgress> = agents
            .iter()
            .filter(|agent| agent.desired.is_some())
            .map(progress_of)
            .collect();
        // Nothing is on its way to those that are away.
        let is_settled =
            |state: ProgressState| state.is_final() || state == ProgressState::Disconnected;
        let done = progress.iter().all(|agent| is_settled(agent.state));
        shown.update(&progress)?;
        if done || deadline <= Instant::now() {
            for agent in agents.iter().filter(|agent| is_astray(agent)) {
                let hostname = &agent.hostname;
                output::line(&format!(
                    "agent {hostname} ({}): was seen serving it, and does not now; see nxmeshctl describe agent {hostname}",
                    agent.id
                ))?;
            }
            return finish(&progress);
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(Duration::from_secs(2));
    }
}

/// Whether nginx is not as it was when it was seen serving what it ought to.
fn is_astray(agent: &AgentView) -> bool {
    agent.connected && !agent.in_sync && agent.failure.is_none() && agent.applied == agent.desired
}

fn progress_of(agent: &AgentView) -> AgentProgress {
    let failure = agent
        .failure
        .clone()
        .filter(|failure| Some(failure.version) >= agent.desired);
    let state = match &failure {
        // What an agent said before it went is not what its nginx serves.
        _ if agent.in_sync && agent.connected => ProgressState::Applied,
        None if agent.connected && agent.applied == agent.desired => ProgressState::Pending,
        Some(failure) => ProgressState::after(failure),
        None if agent.drained => ProgressState::Drained,
        None if !agent.connected => ProgressState::Disconnected,
        None if agent.staged >= agent.desired => ProgressState::Staged,
        None if agent.sent >= agent.desired => ProgressState::Sent,
        None => ProgressState::Pending,
    };
    AgentProgress {
        id: agent.id.clone(),
        hostname: agent.hostname.clone(),
        state,
        failure,
        down: state.is_failure() && agent.is_down(),
    }
}

/// What was told already, so that each line says something new.
#[derive(Default)]
struct Shown(BTreeMap<AgentId, ProgressState>);

impl Shown {
    fn update(&mut self, agents: &[AgentProgress]) -> anyhow::Result<()> {
        for agent in agents {
            if self.0.insert(agent.id.clone(), agent.state) != Some(agent.state)
                && agent.state != ProgressState::Pending
            {
                output::line(&describe(agent))?;
            }
        }
        Ok(())
    }
}

/// One line on an agent; when it failed, what nginx said below it.
pub(crate) fn describe(agent: &AgentProgress) -> String {
    let state = match agent.state {
        ProgressState::Rejected if agent.down => "rejected",
        ProgressState::Pending => "pending",
        ProgressState::Sent => "sent",
        ProgressState::Staged => "staged, passed nginx -t",
        ProgressState::Applied => "applied, seen serving",
        ProgressState::Rejected => "rejected, keeps serving what it had",
        ProgressState::RolledBack => "rolled back to what it had",
        ProgressState::HeldBack => "served in part, some resources keep their last good form",
        ProgressState::Disconnected => "disconnected, gets it when it returns",
        ProgressState::Drained => "drained, gets it when it is undrained",
    };
    let mut line = format!("agent {} ({}): {state}", agent.hostname, agent.id);
    if agent.down {
        line.push_str("; its nginx is down, or does not answer");
    }
    if let Some(failure) = &agent.failure {
        let resource = failure
            .resource
            .as_ref()
            .map(|resource| format!(" {resource}:"))
            .unwrap_or_default();
        line.push_str(&format!(
            "\n  {}:{resource} {}",
            failure.code,
            failure.message.replace('\n', "\n  ")
        ));
        for held in &failure.held_back {
            line.push_str(&format!(
                "\n  held back {}: {}: {}",
                held.resource,
                held.code,
                held.message.replace('\n', "\n  ")
            ));
        }
    }
    line
}

fn finish(agents: &[AgentProgress]) -> anyhow::Result<Exit> {
    let tally = Tally::of(agents);
    output::line(&format!(
        "{} updated, {} failed, {} skipped",
        tally.updated,
        tally.failed,
        tally.skipped + tally.drained
    ))?;
    Ok(tally.exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_to_serve_where_nginx_is_down() {
        let mut agent = AgentProgress {
            id: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
            hostname: "web-1".to_owned(),
            state: ProgressState::Rejected,
            failure: None,
            down: false,
        };
        assert!(describe(&agent).ends_with("rejected, keeps serving what it had"));
        agent.down = true;
        let told = describe(&agent);
        assert!(told.contains("rejected; its nginx is down"), "{told}");
        assert!(!told.contains("keeps serving"), "{told}");
    }

    #[test]
    fn success_is_only_when_every_agent_confirmed() {
        for (updated, failed, skipped, exit) in [
            (0, 0, 0, Exit::Success),
            (3, 0, 0, Exit::Success),
            (3, 0, 1, Exit::TimedOut),
            (0, 0, 1, Exit::TimedOut),
            (0, 2, 0, Exit::RolloutFailed),
            (1, 1, 0, Exit::Partial),
            (0, 1, 1, Exit::Partial),
        ] {
            assert_eq!(
                Tally {
                    updated,
                    failed,
                    skipped,
                    drained: 5
                }
                .exit(),
                exit,
                "{updated} {failed} {skipped}"
            );
        }
    }
}

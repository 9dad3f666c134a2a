//! `nxmeshctl agent reload|recheck|restart|drain|undrain|rotate-key`

use std::time::{Duration, Instant};

use anyhow::anyhow;
use nxmesh_core::api::{AgentView, CommandKind, CommandRequest, CommandState, CommandView};
use nxmesh_process::exit::{Exit, OrExit as _};

use crate::{
    client::Client,
    options::{AgentArguments, CommandArguments, ServerOptions},
    output,
};

/// How long the master is asked to wait at once.
const WAIT_S: &str = "20";

/// Gives an agent a command and waits for its result.
pub(crate) async fn command(
    options: &ServerOptions,
    kind: CommandKind,
    arguments: CommandArguments,
) -> anyhow::Result<Exit> {
    let timeout_seconds = arguments.timeout.whole_seconds();
    if !(1..=600).contains(&timeout_seconds) {
        return Err(anyhow!(
            "--timeout: an agent gets 1s to 600s, for example 60s"
        ))
        .or_exit(Exit::Usage);
    }
    let client = Client::new(options)?;
    let agent = find(&client, &arguments.agent).await?;
    let path = format!("agents/{}/commands", agent.id);
    let request = CommandRequest {
        kind,
        timeout_seconds,
    };
    let mut view: CommandView = client.post_in(&path, &[], &request).await?;
    // The master lets it expire; this is for a master that does not answer.
    let until = Instant::now() + Duration::from_secs(timeout_seconds + 5);
    let path = format!("{path}/{}", view.id);
    while view.state == CommandState::Waiting && Instant::now() < until {
        view = client.get(&path, &[("wait", WAIT_S)]).await?;
    }
    output::line(&told(&agent.hostname, &view))?;
    Ok(match view.state {
        CommandState::Done => Exit::Success,
        CommandState::Failed => Exit::Failure,
        CommandState::Waiting | CommandState::Expired => Exit::TimedOut,
    })
}

/// Has an agent served again that was in quarantine.
pub(crate) async fn unquarantine(
    options: &ServerOptions,
    arguments: AgentArguments,
) -> anyhow::Result<Exit> {
    let client = Client::new(options)?;
    let agent = find(&client, &arguments.agent).await?;
    let path = format!("agents/{}/quarantine", agent.id);
    client.delete::<serde_json::Value>(&path, "").await?;
    let hostname = output::printable(&agent.hostname);
    output::line(&format!(
        "{hostname} is served again once it connects, within a minute"
    ))?;
    Ok(Exit::Success)
}

fn told(hostname: &str, view: &CommandView) -> String {
    let said = match view.message.as_str() {
        "" => String::new(),
        message => format!(": {}", output::printable(message)),
    };
    let (hostname, kind) = (output::printable(hostname), view.kind);
    format!("{hostname} {kind} {}{said}", view.state.as_str())
}

/// The agent with this id or host name.
pub(crate) async fn find(client: &Client, name: &str) -> anyhow::Result<AgentView> {
    let agents: Vec<AgentView> = client.list("agents", &[]).await?;
    let mut found = agents
        .into_iter()
        .filter(|agent| agent.id.as_str() == name || agent.hostname == name);
    let Some(agent) = found.next() else {
        return Err(anyhow!(
            "agent {name} is not there; list them with: nxmeshctl get agents"
        ))
        .or_exit(Exit::NotFound);
    };
    let others: Vec<String> = found.map(|other| other.id.to_string()).collect();
    if others.is_empty() {
        return Ok(agent);
    }
    Err(anyhow!(
        "several agents are called {name}; name one by its id: {}, {}",
        agent.id,
        others.join(", ")
    ))
    .or_exit(Exit::Usage)
}

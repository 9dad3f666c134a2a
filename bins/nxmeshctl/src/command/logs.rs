//! `nxmeshctl logs`

use anyhow::Context as _;
use nxmesh_core::api::LogEvent;
use nxmesh_process::exit::{Exit, OrExit as _};

use crate::{
    client::Client,
    command::agent::find,
    options::{LogsArguments, ServerOptions},
    output,
};

/// The longest event; a batch of lines is far smaller.
const EVENT_BYTES: usize = 16 << 20;

/// Prints the error log of an agent's nginx.
pub(crate) async fn run(options: &ServerOptions, arguments: LogsArguments) -> anyhow::Result<Exit> {
    let client = Client::new(options)?;
    let agent = find(&client, &arguments.agent).await?;
    let lines = arguments.lines.to_string();
    let follow = arguments.follow.to_string();
    let query = [("lines", lines.as_str()), ("follow", follow.as_str())];
    let path = format!("agents/{}/logs", agent.id);
    let mut response = client.stream(&path, &query).await?;
    let mut waiting: Vec<u8> = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .context("the connection to the master broke")
        .or_exit(Exit::Unreachable)?
    {
        waiting.extend_from_slice(&chunk);
        anyhow::ensure!(
            waiting.len() <= EVENT_BYTES,
            "the master's answer makes no sense; is it an NxMesh master?"
        );
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let event: Vec<u8> = waiting.drain(..=end).collect();
            let event: LogEvent = serde_json::from_slice(&event)
                .context("the master's answer makes no sense; is it an NxMesh master?")?;
            if let Some(exit) = show(event)? {
                return Ok(exit);
            }
        }
    }
    anyhow::bail!("the master ended the answer before its end");
}

/// Prints an event; how it ended, if that was the last.
fn show(event: LogEvent) -> anyhow::Result<Option<Exit>> {
    if event.dropped > 0 {
        eprintln!("warning: {} lines are missing here", event.dropped);
    }
    for line in &event.lines {
        output::line(&output::printable(line))?;
    }
    let Some(reason) = event.end else {
        return Ok(None);
    };
    if reason.is_empty() {
        return Ok(Some(Exit::Success));
    }
    eprintln!("log ended: {}", output::printable(&reason));
    Ok(Some(Exit::Failure))
}

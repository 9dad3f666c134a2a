//! `nxmeshctl rollout undo|status|history`

use std::time::{Duration, Instant};

use anyhow::anyhow;
use nxmesh_core::api::{RevisionView, WriteResponse};
use nxmesh_process::exit::{Exit, OrExit as _};
use serde_json::Value;

use crate::{
    client::Client,
    command::get::columns,
    options::{HistoryArguments, RolloutStatusArguments, ServerOptions, Thing, UndoArguments},
    output, progress,
};

pub(crate) async fn undo(
    options: &ServerOptions,
    arguments: UndoArguments,
) -> anyhow::Result<Exit> {
    let client = Client::new(options)?;
    let revision = revision_or_newest(&client, arguments.revision).await?;
    let query = [("message", arguments.message.as_str())];
    let written: WriteResponse = client
        .post_in(
            &format!("revisions/{revision}/undo"),
            &query,
            &serde_json::json!({}),
        )
        .await?;
    output::line(&format!("undoing revision {revision}"))?;
    progress::report(&client, &written, &arguments.wait).await
}

pub(crate) async fn status(
    options: &ServerOptions,
    arguments: RolloutStatusArguments,
) -> anyhow::Result<Exit> {
    let client = Client::new(options)?;
    let revision = revision_or_newest(&client, arguments.revision).await?;
    output::line(&format!("revision {revision}"))?;
    if arguments.watch {
        return progress::follow(
            &client,
            revision,
            Instant::now() + arguments.timeout.as_duration(),
        )
        .await;
    }
    let rollout = client.rollout(revision, None, Duration::ZERO).await?;
    rollout
        .agents
        .iter()
        .try_for_each(|agent| output::line(&progress::describe(agent)))?;
    Ok(Exit::Success)
}

pub(crate) async fn history(
    options: &ServerOptions,
    arguments: HistoryArguments,
) -> anyhow::Result<Exit> {
    let items: Vec<Value> = Client::new(options)?.list("revisions", &[]).await?;
    output::list(&items, &columns(Thing::Revision), arguments.output, false)?;
    Ok(Exit::Success)
}

async fn revision_or_newest(client: &Client, revision: Option<u64>) -> anyhow::Result<u64> {
    if let Some(revision) = revision {
        return Ok(revision);
    }
    let revisions: Vec<RevisionView> = client.list("revisions", &[]).await?;
    let newest = revisions
        .iter()
        .map(|revision| revision.version.revision)
        .max();
    newest
        .ok_or_else(|| anyhow!("workspace {} has no revision yet", client.workspace()))
        .or_exit(Exit::NotFound)
}

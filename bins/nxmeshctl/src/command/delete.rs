//! `nxmeshctl delete`

use std::io::IsTerminal as _;

use anyhow::{Context as _, anyhow};
use nxmesh_core::api::WriteResponse;
use nxmesh_process::exit::{Exit, OrExit as _};

use crate::{
    client::Client,
    command::{
        agent::find,
        get::{path, segment},
    },
    options::{DeleteArguments, ServerOptions, Thing},
    output, progress,
};

pub(crate) async fn run(
    options: &ServerOptions,
    arguments: DeleteArguments,
) -> anyhow::Result<Exit> {
    let (thing, name) = arguments.target.one()?;
    let stays = match thing {
        Thing::Revision => {
            "revisions are history and stay; undo one with: nxmeshctl rollout undo REVISION"
        }
        Thing::Audit => "the audit log stays as it is",
        _ => "",
    };
    if !stays.is_empty() {
        return Err(anyhow!(stays)).or_exit(Exit::Usage);
    }
    let client = Client::new(options)?;
    let target = match thing {
        Thing::Agent => format!("agents/{}", find(&client, name).await?.id),
        _ => format!("{}/{}", path(thing), segment(name)),
    };
    let tagged = client.tagged(&target).await?;
    if !confirmed(name, arguments.yes, client.workspace().as_str())? {
        output::line("nothing deleted")?;
        return Ok(Exit::Success);
    }
    match client
        .delete::<WriteResponse>(&target, &tagged.etag)
        .await?
    {
        Some(written) => progress::report(&client, &written, &arguments.wait).await,
        None => {
            output::line(&format!("{target} deleted"))?;
            Ok(Exit::Success)
        }
    }
}

fn confirmed(name: &str, yes: bool, workspace: &str) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(anyhow!(
            "there is no terminal to ask on; give --yes to delete {name}"
        ))
        .or_exit(Exit::Usage);
    }
    dialoguer::Confirm::new()
        .with_prompt(format!("delete {name} in workspace {workspace}?"))
        .default(false)
        .interact()
        .context("could not ask")
}

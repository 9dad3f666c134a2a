//! `nxmeshctl diff`

use nxmesh_core::api::{Change, ChangeKind};
use nxmesh_process::exit::Exit;
use serde_json::Value;
use similar::TextDiff;

use crate::{
    client::Client,
    command::apply,
    documents,
    options::{FileArguments, ServerOptions},
    output,
};

pub(crate) async fn run(options: &ServerOptions, arguments: FileArguments) -> anyhow::Result<Exit> {
    let documents = documents::read(&arguments.files)?;
    let mut options = options.clone();
    options.workspace = documents::workspace(&documents)?;
    let written = apply::send(&Client::new(&options)?, &documents, true, "").await?;
    for warning in &written.warnings {
        eprintln!("warning: {warning}");
    }
    let mut differs = false;
    for change in written
        .changes
        .iter()
        .filter(|change| change.change != ChangeKind::Unchanged)
    {
        differs = true;
        output::line(&unified(change))?;
    }
    Ok(if differs {
        Exit::Differs
    } else {
        Exit::Success
    })
}

fn unified(change: &Change) -> String {
    let text = |document: &Option<Value>| {
        document
            .as_ref()
            .map(|value| output::yaml(value) + "\n")
            .unwrap_or_default()
    };
    let (before, after) = (text(&change.before), text(&change.after));
    if before == after {
        return format!("{}: a secret differs (not shown)", change.resource);
    }
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .header(
            &format!("{} (stored)", change.resource),
            &format!("{} (given)", change.resource),
        )
        .to_string()
        .trim_end()
        .to_owned()
}

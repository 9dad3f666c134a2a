//! `nxmeshctl apply`

use nxmesh_core::{api::WriteResponse, document::Parsed};
use nxmesh_process::exit::Exit;

use crate::{
    client::Client,
    documents,
    options::{ApplyArguments, ServerOptions},
    progress,
};

pub(crate) async fn run(
    options: &ServerOptions,
    arguments: ApplyArguments,
) -> anyhow::Result<Exit> {
    let documents = documents::read(&arguments.files.files)?;
    let mut options = options.clone();
    options.workspace = documents::workspace(&documents)?;
    let client = Client::new(&options)?;
    let written = send(&client, &documents, arguments.dry_run, &arguments.message).await?;
    progress::report(&client, &written, &arguments.wait).await
}

/// Sends documents as one change set.
pub(crate) async fn send(
    client: &Client,
    documents: &[Parsed],
    dry_run: bool,
    message: &str,
) -> anyhow::Result<WriteResponse> {
    let mut query = vec![("message", message)];
    if dry_run {
        query.push(("dry_run", "true"));
    }
    client
        .post_documents("apply", &query, documents::text(documents))
        .await
}

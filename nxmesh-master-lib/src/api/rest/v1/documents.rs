//! Reading the documents of a write.

use std::{collections::BTreeSet, sync::Arc};

use nxmesh_core::{
    document::{self, Parsed},
    model::{Resource, ResourceKey, value::WorkspaceName},
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::super::Problem;
use crate::engine::DesiredChange;

/// What errors call the text.
const SOURCE: &str = "body";

/// What stands for a private key in answers.
const REDACTED: &str = "***";

/// Reads a text of documents for `workspace`. Megabytes of YAML take a while,
/// so that does not happen on a thread that others wait for.
pub(super) async fn read(
    reading: &Arc<Semaphore>,
    text: String,
    workspace: WorkspaceName,
) -> Result<Vec<Resource>, Problem> {
    let text = Zeroizing::new(text);
    let turn = Arc::clone(reading)
        .acquire_owned()
        .await
        .map_err(|error| Problem::internal(&error))?;
    let work = move || {
        let resources = parse(&text, &workspace);
        // Only now: a client that goes away ends the wait, not the work.
        drop(turn);
        resources
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::internal(&error))?
}

fn parse(text: &str, workspace: &WorkspaceName) -> Result<Vec<Resource>, Problem> {
    let parsed = document::parse(SOURCE, text).map_err(|problems| {
        let hidden = text.contains(REDACTED);
        Problem::invalid(
            problems
                .into_iter()
                .map(|problem| explain_redaction(problem, hidden))
                .collect(),
        )
    })?;
    let strangers: Vec<_> = parsed
        .iter()
        .filter(|parsed| parsed.resource.metadata().workspace != *workspace)
        .map(|parsed| other_workspace(parsed, workspace))
        .collect();
    if !strangers.is_empty() {
        return Err(Problem::invalid(strangers));
    }
    Ok(parsed.into_iter().map(|parsed| parsed.resource).collect())
}

/// Reads a text of documents that are to be put: at least one, none twice.
pub(super) async fn read_set(
    reading: &Arc<Semaphore>,
    text: String,
    workspace: &WorkspaceName,
) -> Result<Vec<DesiredChange>, Problem> {
    let resources = read(reading, text, workspace.clone()).await?;
    let mut keys = BTreeSet::new();
    let doubled: Vec<_> = resources
        .iter()
        .map(Resource::key)
        .filter(|key| !keys.insert(key.clone()))
        .map(|key| {
            let rule = "a resource is written once per apply";
            document::Problem::new(key, "/metadata/name", rule)
        })
        .collect();
    if !doubled.is_empty() {
        return Err(Problem::invalid(doubled));
    }
    if resources.is_empty() {
        let rule = "the body holds at least one document, for example kind: Upstream …";
        return Err(Problem::invalid(vec![document::Problem::new(
            SOURCE, "", rule,
        )]));
    }
    Ok(resources.into_iter().map(DesiredChange::put).collect())
}

/// Reads a text that is to hold the one document called `key`.
pub(super) async fn read_one(
    reading: &Arc<Semaphore>,
    text: String,
    workspace: WorkspaceName,
    key: &ResourceKey,
) -> Result<Resource, Problem> {
    let mut resources = read(reading, text, workspace).await?;
    let (Some(resource), true) = (resources.pop(), resources.is_empty()) else {
        let rule = "the body is one document; send several to …/apply";
        return Err(Problem::invalid(vec![document::Problem::new(
            SOURCE, "", rule,
        )]));
    };
    let found = resource.key();
    let pointer = match &found {
        found if found.kind != key.kind => "/kind",
        found if found.name != key.name => "/metadata/name",
        _ => return Ok(resource),
    };
    let rule = format!("the path says {key}, the document {found}; they have to agree");
    Err(Problem::invalid(vec![document::Problem::new(
        found, pointer, &rule,
    )]))
}

fn explain_redaction(mut problem: document::Problem, hidden: bool) -> document::Problem {
    if hidden && problem.pointer == "/spec/private_key" {
        problem
            .rule
            .push_str("; *** only stands for a key that is not shown and cannot be sent back");
    }
    problem
}

fn other_workspace(parsed: &Parsed, workspace: &WorkspaceName) -> document::Problem {
    let rule = format!("the document's workspace is the path's, for example {workspace}");
    document::Problem::new(&parsed.origin, "/metadata/workspace", &rule)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The clock stands while a text is read and runs while one waits for its turn.
    #[tokio::test(start_paused = true)]
    async fn a_text_waits_for_its_turn_and_gives_it_back() {
        let reading = Arc::new(Semaphore::new(0));
        let text = || "kind: X".to_owned();
        let wait = Duration::from_secs(60);
        let waiting = read(&reading, text(), WorkspaceName::default());
        assert!(tokio::time::timeout(wait, waiting).await.is_err());
        reading.add_permits(1);
        for _ in 0..3 {
            let reading = read(&reading, text(), WorkspaceName::default());
            let read = tokio::time::timeout(wait, reading).await;
            assert!(read.expect("nobody else reads").is_err());
        }
    }
}

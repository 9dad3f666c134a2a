//! Reading the documents of a write.

use nxmesh_core::{
    document::{self, Parsed},
    model::{Resource, ResourceKey, value::WorkspaceName},
};

use zeroize::Zeroizing;

use super::super::Problem;

/// What errors call the text.
const SOURCE: &str = "body";

/// What stands for a private key in answers.
const REDACTED: &str = "***";

/// Reads a text of documents for `workspace`. Megabytes of YAML take a while,
/// so that does not happen on a thread that others wait for.
pub(super) async fn read(text: String, workspace: WorkspaceName) -> Result<Vec<Resource>, Problem> {
    let text = Zeroizing::new(text);
    tokio::task::spawn_blocking(move || parse(&text, &workspace))
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

/// Reads a text that is to hold the one document called `key`.
pub(super) async fn read_one(
    text: String,
    workspace: WorkspaceName,
    key: &ResourceKey,
) -> Result<Resource, Problem> {
    let mut resources = read(text, workspace).await?;
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

//! `nxmeshctl plan`

use nxmesh_core::api::{FileChange, PlanResponse};
use nxmesh_process::exit::Exit;
use similar::TextDiff;

use crate::{
    client::Client,
    documents,
    options::{PlanArguments, ServerOptions},
    output,
};

pub(crate) async fn run(options: &ServerOptions, arguments: PlanArguments) -> anyhow::Result<Exit> {
    let documents = documents::read(&arguments.files.files)?;
    let mut options = options.clone();
    options.workspace = documents::workspace(&documents)?;
    let client = Client::new(&options)?;
    let agent = arguments.agent.map(|id| id.to_string());
    let nginx_version = arguments.nginx_version.map(|it| it.to_string());
    let query: Vec<(&str, &str)> = [("agent", &agent), ("nginx_version", &nginx_version)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    let text = documents::text(&documents);
    let plan: PlanResponse = client.post_documents("plan", &query, text).await?;
    for warning in &plan.warnings {
        eprintln!("warning: {warning}");
    }
    for file in &plan.files {
        output::line(&unified(file))?;
    }
    eprintln!(
        "{} files change, {} stay, for nginx {}; {} agents concerned",
        plan.files.len(),
        plan.unchanged,
        plan.nginx_version,
        plan.agents.len()
    );
    Ok(if plan.files.is_empty() {
        Exit::Success
    } else {
        Exit::Differs
    })
}

fn unified(file: &FileChange) -> String {
    if file.omitted {
        return format!("{}: differs (too much to show)", file.path);
    }
    let name = |text: &Option<String>, side: &str| match text {
        Some(_) => format!("{side}/{}", file.path),
        None => "/dev/null".to_owned(),
    };
    let (before, after) = (&file.before, &file.after);
    TextDiff::from_lines(
        before.as_deref().unwrap_or_default(),
        after.as_deref().unwrap_or_default(),
    )
    .unified_diff()
    .header(&name(before, "serving"), &name(after, "planned"))
    .to_string()
    .trim_end()
    .to_owned()
}

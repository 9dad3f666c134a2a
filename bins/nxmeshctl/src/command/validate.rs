//! `nxmeshctl validate`

use nxmesh_core::{
    check,
    contract::renderer::{RenderSettings, Renderer as _},
    document::{MAX_PROBLEMS, Parsed, Problem},
    model::{Resource, ResourceKind, ResourceSet},
};
use nxmesh_process::exit::Exit;
use nxmesh_render::HandlebarsRenderer;

use crate::{documents, options::FileArguments, output};

pub(crate) fn run(arguments: FileArguments) -> anyhow::Result<Exit> {
    let documents = documents::read(&arguments.files)?;
    documents::workspace(&documents)?;
    let count = documents.len();
    let (problems, dangling) = problems(documents);
    if !problems.is_empty() {
        return Err(documents::refuse(&problems));
    }
    for reference in dangling.iter().take(MAX_PROBLEMS) {
        eprintln!("warning: {reference}");
    }
    if let more @ 1.. = dangling.len().saturating_sub(MAX_PROBLEMS) {
        eprintln!("warning: and {more} more that have to be on the server");
    }
    output::line(&format!("{count} valid"))?;
    Ok(Exit::Success)
}

/// All that is wrong, and the references that only a server could resolve.
fn problems(documents: Vec<Parsed>) -> (Vec<Problem>, Vec<String>) {
    let resources: ResourceSet = documents
        .into_iter()
        .map(|document| document.resource)
        .collect();
    let dangling = dangling(&resources);
    if !dangling.is_empty() {
        let found = resources.iter();
        let found = found.flat_map(|(_, resource)| check::document(resource));
        let templates = resources.iter();
        let templates = templates.filter(|(key, _)| key.kind == ResourceKind::Template);
        let templates = templates
            .map(|(_, resource)| Resource::clone(resource))
            .collect();
        return (found.chain(rendering(&templates)).collect(), dangling);
    }
    match check::check(resources) {
        Err(problems) => (problems, dangling),
        Ok(checked) => (rendering(checked.resources()).collect(), dangling),
    }
}

/// What does not become files of the newest nginx.
fn rendering(resources: &ResourceSet) -> impl Iterator<Item = Problem> {
    let rendered = HandlebarsRenderer::new().render(resources, &RenderSettings::default());
    rendered.err().map(|error| error.problem()).into_iter()
}

fn dangling(resources: &ResourceSet) -> Vec<String> {
    let mut dangling = Vec::new();
    for (key, resource) in resources.iter() {
        for (pointer, target) in check::references_of(resource) {
            if resources.get(&target).is_none() {
                dangling.push(format!(
                    "{key}: {pointer}: {target} is not among the files; it has to be on the server"
                ));
            }
        }
    }
    dangling
}

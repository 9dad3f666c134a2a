//! `nxmeshctl validate`

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nxmesh_core::{
    check,
    contract::renderer::{NginxVersion, RenderSettings, Renderer as _},
    document::MAX_PROBLEMS,
    model::{ResourceKey, ResourceSet},
};
use nxmesh_process::exit::Exit;
use nxmesh_render::{HandlebarsRenderer, older_forms};

use crate::{
    documents,
    options::{RenderMode, ValidateArguments},
    output,
};

pub(crate) fn run(arguments: ValidateArguments) -> anyhow::Result<Exit> {
    let documents = documents::read(&arguments.files.files)?;
    documents::workspace(&documents)?;
    let count = documents.len();
    let resources: ResourceSet = documents
        .into_iter()
        .map(|document| document.resource)
        .collect();
    let problems = check::part(&resources);
    if !problems.is_empty() {
        return Err(documents::refuse(&problems));
    }
    let references = references(&resources);
    let is_missing = |it: &&Reference| resources.get(&it.target).is_none();
    let dangling: Vec<&Reference> = references.iter().filter(is_missing).collect();
    let whole = without(&resources, &references, &dangling);
    let settings = settings(&arguments);
    HandlebarsRenderer::new()
        .render(&whole, &settings)
        .map_err(|error| documents::refuse(&[error.problem()]))?;
    for form in older_forms(&whole, &settings) {
        eprintln!("warning: {}: {}", form.resource, form.note);
    }
    tell(&dangling, resources.len() - whole.len());
    output::line(&format!("{count} valid"))?;
    Ok(Exit::Success)
}

fn settings(arguments: &ValidateArguments) -> RenderSettings {
    let modules = &arguments.modules;
    RenderSettings {
        nginx: arguments.nginx_version.unwrap_or(NginxVersion::NEWEST),
        whole_conf: arguments.mode != Some(RenderMode::Include),
        modules: (!modules.is_empty()).then(|| Arc::new(modules.iter().cloned().collect())),
        ..RenderSettings::default()
    }
}

/// Where a document needs another.
struct Reference {
    owner: ResourceKey,
    pointer: String,
    target: ResourceKey,
}

fn references(resources: &ResourceSet) -> Vec<Reference> {
    let mut references = Vec::new();
    for (owner, resource) in resources.iter() {
        for (pointer, target) in check::references_of(resource) {
            references.push(Reference {
                owner: owner.clone(),
                pointer,
                target,
            });
        }
    }
    references
}

/// Those of which everything is there: only of them is known what they become.
fn without(
    resources: &ResourceSet,
    references: &[Reference],
    dangling: &[&Reference],
) -> ResourceSet {
    let mut users: BTreeMap<&ResourceKey, Vec<&ResourceKey>> = BTreeMap::new();
    for reference in references {
        let all = users.entry(&reference.target).or_default();
        all.push(&reference.owner);
    }
    let mut partial = BTreeSet::new();
    let mut next: Vec<&ResourceKey> = dangling.iter().map(|it| &it.owner).collect();
    while let Some(key) = next.pop() {
        if partial.insert(key) {
            next.extend(users.get(key).into_iter().flatten());
        }
    }
    let whole = resources.iter().filter(|(key, _)| !partial.contains(key));
    whole.map(|(_, resource)| Arc::clone(resource)).collect()
}

/// Tells what only a server could resolve, and what was not looked at for want of it.
fn tell(dangling: &[&Reference], partial: usize) {
    for reference in dangling.iter().take(MAX_PROBLEMS) {
        let Reference {
            owner,
            pointer,
            target,
        } = reference;
        eprintln!(
            "warning: {owner}: {pointer}: {target} is not among the files; it has to be on the server"
        );
    }
    if let more @ 1.. = dangling.len().saturating_sub(MAX_PROBLEMS) {
        eprintln!("warning: and {more} more that have to be on the server");
    }
    if partial > 0 {
        eprintln!(
            "warning: {partial} of these documents need them, so it was not tried what they become in nginx"
        );
    }
}

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
    let dangling = dangling(&resources);
    let whole = without(&resources, &dangling);
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

/// A reference that only a server could resolve.
struct Dangling {
    owner: ResourceKey,
    pointer: String,
    target: ResourceKey,
}

fn dangling(resources: &ResourceSet) -> Vec<Dangling> {
    let mut dangling = Vec::new();
    for (owner, resource) in resources.iter() {
        for (pointer, target) in check::references_of(resource) {
            if resources.get(&target).is_none() {
                dangling.push(Dangling {
                    owner: owner.clone(),
                    pointer,
                    target,
                });
            }
        }
    }
    dangling
}

/// Those of which everything is there: only of them is known what they become.
fn without(resources: &ResourceSet, dangling: &[Dangling]) -> ResourceSet {
    let mut users: BTreeMap<ResourceKey, Vec<&ResourceKey>> = BTreeMap::new();
    for (owner, resource) in resources.iter() {
        for (_, target) in check::references_of(resource) {
            users.entry(target).or_default().push(owner);
        }
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

/// Tells what was not looked at.
fn tell(dangling: &[Dangling], partial: usize) {
    for reference in dangling.iter().take(MAX_PROBLEMS) {
        let Dangling {
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

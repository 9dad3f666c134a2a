//! Second step: from resources to files, rendering only what changed.

use std::{collections::BTreeSet, sync::Arc};

use nxmesh_core::{
    bundle::Slice,
    contract::renderer::{RenderError, RenderSettings, RenderedTree, Renderer},
    model::{ResourceKey, ResourceSet},
};

use super::{Failure, code};

/// A slice and its files.
#[derive(Debug)]
pub(super) struct Rendering {
    pub(super) slice: Arc<Slice>,
    pub(super) tree: RenderedTree,
}

impl Rendering {
    /// Renders `slice`, from `previous` if there is one.
    pub(super) fn of(
        slice: Arc<Slice>,
        previous: Option<Self>,
        renderer: &dyn Renderer,
        settings: &RenderSettings,
    ) -> Result<Self, Failure> {
        let resources = slice.resources();
        let tree = match previous {
            Some(previous) => {
                let changed = changed(previous.slice.resources(), resources);
                renderer.rerender(previous.tree, resources, &changed, settings)
            }
            None => renderer.render(resources, settings),
        }
        .map_err(failure)?;
        Ok(Self { slice, tree })
    }
}

/// The resources that were added, changed or removed.
pub(super) fn changed(before: &ResourceSet, after: &ResourceSet) -> BTreeSet<ResourceKey> {
    let gone = before
        .iter()
        .filter(|(key, _)| after.get(key).is_none())
        .map(|(key, _)| key.clone());
    let new = after
        .iter()
        .filter(|(key, resource)| {
            !before
                .get(key)
                .is_some_and(|earlier| Arc::ptr_eq(earlier, resource) || earlier == *resource)
        })
        .map(|(key, _)| key.clone());
    gone.chain(new).collect()
}

fn failure(error: RenderError) -> Failure {
    let mut failure = Failure::new(code::RENDER, error.to_string());
    failure.resource = match error {
        RenderError::MissingReference { resource, .. }
        | RenderError::Unsupported { resource, .. }
        | RenderError::MissingModule { resource, .. }
        | RenderError::OutsideOfHttp { resource, .. }
        | RenderError::Unrenderable { resource, .. }
        | RenderError::Structure { resource, .. } => Some(resource),
        _ => None,
    };
    failure
}

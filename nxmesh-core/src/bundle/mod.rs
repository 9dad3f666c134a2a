//! What travels to agents: the part of a workspace one agent needs.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    check::references_of,
    digest::Digest,
    model::{Labels, Resource, ResourceKey, ResourceKind, ResourceSet},
};

/// The resources one agent needs: its virtual hosts and all they refer to.
/// Agents with the same labels share one slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    resources: ResourceSet,
    digest: Digest,
}

impl Slice {
    /// Makes a slice of resources that belong together.
    #[must_use]
    pub fn new(resources: ResourceSet) -> Self {
        let digests: BTreeMap<&ResourceKey, Digest> = resources
            .iter()
            .map(|(key, resource)| (key, resource.digest()))
            .collect();
        let digest = digest_of(digests.iter().map(|(key, digest)| (*key, digest)));
        Self { resources, digest }
    }

    /// Cuts the slice of agents with `labels` out of a workspace.
    #[must_use]
    pub fn cut(workspace: &ResourceSet, labels: &Labels) -> Self {
        let mut resources = ResourceSet::default();
        for (key, resource) in workspace.iter() {
            let Resource::VirtualHost(host) = &**resource else {
                continue;
            };
            if !host.spec.selector.matches(labels) {
                continue;
            }
            for (_, target) in references_of(&host.spec) {
                if let Some(found) = workspace.get(&target) {
                    resources.insert(Arc::clone(found));
                }
            }
            debug_assert_eq!(key.kind, ResourceKind::VirtualHost);
            resources.insert(Arc::clone(resource));
        }
        Self::new(resources)
    }

    /// The resources.
    #[must_use]
    pub const fn resources(&self) -> &ResourceSet {
        &self.resources
    }

    /// The digest over every resource in canonical form.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl Default for Slice {
    fn default() -> Self {
        Self::new(ResourceSet::default())
    }
}

/// The digest of a slice from the digests of its resources, by key.
pub fn digest_of<'a>(resources: impl Iterator<Item = (&'a ResourceKey, &'a Digest)>) -> Digest {
    let names: Vec<(String, &Digest)> = resources
        .map(|(key, digest)| (key.to_string(), digest))
        .collect();
    Digest::of_parts(
        names
            .iter()
            .flat_map(|(name, digest)| [name.as_bytes(), &digest.as_bytes()[..]]),
    )
}

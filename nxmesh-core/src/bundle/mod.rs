//! What travels to agents: the part of a workspace one agent needs.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    check::references_of,
    digest::Digest,
    model::{Labels, Resource, ResourceKey, ResourceSet},
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
        let chosen = workspace.iter().filter(|(_, resource)| {
            let selector = resource.selector();
            selector.is_some_and(|selector| selector.matches(labels))
        });
        let all = with_references(chosen.map(|(key, _)| key.clone()), |key| {
            workspace.get(key).map(|found| &**found)
        });
        let resources = all.iter().filter_map(|key| workspace.get(key).cloned());
        Self::new(resources.collect())
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

/// `roots` and all they refer to, directly or not, as far as `get` finds it.
pub fn with_references<'a>(
    roots: impl Iterator<Item = ResourceKey>,
    get: impl Fn(&ResourceKey) -> Option<&'a Resource>,
) -> BTreeSet<ResourceKey> {
    let mut all = BTreeSet::new();
    let mut open: Vec<ResourceKey> = roots.collect();
    while let Some(key) = open.pop() {
        let Some(resource) = get(&key) else { continue };
        if all.insert(key) {
            let references = references_of(resource).into_iter();
            open.extend(
                references
                    .map(|(_, target)| target)
                    .filter(|it| !all.contains(it)),
            );
        }
    }
    all
}

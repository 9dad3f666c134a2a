//! What resources refer to has to be there.

use crate::{
    document::Problem,
    model::{Action, ResourceKey, ResourceKind, ResourceSet, VirtualHostSpec},
};

pub(super) fn check(resources: &ResourceSet) -> Vec<Problem> {
    let mut problems = Vec::new();
    for host in resources.virtual_hosts() {
        for (pointer, target) in references_of(&host.spec) {
            if resources.get(&target).is_none() {
                let owner = ResourceKey {
                    kind: ResourceKind::VirtualHost,
                    name: host.metadata.name.clone(),
                };
                let rule = format!(
                    "{target} is not in workspace {}; apply it together with this",
                    host.metadata.workspace
                );
                problems.push(Problem::new(owner, pointer, &rule));
            }
        }
    }
    problems
}

/// What a virtual host refers to, each with the JSON pointer of the reference.
#[must_use]
pub fn references_of(spec: &VirtualHostSpec) -> Vec<(String, ResourceKey)> {
    let mut references = Vec::new();
    if let Some(tls) = &spec.tls {
        let target = ResourceKey {
            kind: ResourceKind::Certificate,
            name: tls.certificate.clone(),
        };
        references.push(("/spec/tls/certificate".to_owned(), target));
    }
    for (index, location) in spec.locations.iter().enumerate() {
        if let Action::Proxy(proxy) = &location.action {
            let target = ResourceKey {
                kind: ResourceKind::Upstream,
                name: proxy.upstream.clone(),
            };
            references.push((format!("/spec/locations/{index}/proxy/upstream"), target));
        }
    }
    references
}

//! Connections that upstreams keep, and who gets them next.
//!
//! nginx looks at nothing but the address of the server when it takes one that was kept,
//! whatever was spoken on it and whoever was verified
//! (`src/http/modules/ngx_http_upstream_keepalive_module.c`). Since 1.29.7 an upstream
//! keeps some unless it says that it keeps none, but only for the location they are of.

use std::collections::BTreeMap;

use super::references::{Asker, Manner, asked};
use crate::{
    document::Problem,
    model::{ResourceKey, ResourceSet, value::ResourceName},
};

/// An asker and its document.
type Seen<'a> = (&'a ResourceKey, Asker<'a>);

/// Those who asked an upstream so far.
#[derive(Default)]
struct Askers<'a> {
    /// The first of which it is known how it asks.
    first: Option<Seen<'a>>,
    /// The first snippet.
    snippet: Option<Seen<'a>>,
}

/// What would get connections that were not made for it, each with the Upstream that keeps
/// them.
#[must_use]
pub fn mixed_connections(resources: &ResourceSet) -> Vec<(ResourceName, Problem)> {
    let mut askers: BTreeMap<&ResourceName, Askers<'_>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (owner, resource) in resources.iter() {
        for asker in asked(resource) {
            let Some(upstream) = resources.upstream(asker.upstream) else {
                continue;
            };
            let name = asker.upstream;
            let mut say = |pointer: &str, rule: &str| {
                problems.push((name.clone(), Problem::new(owner, pointer, rule)));
            };
            let keepalive = upstream.spec.keepalive;
            if keepalive == Some(0) {
                continue;
            }
            if asker.manner.verifies_any_host() {
                let rule = format!(
                    "verify needs server_name where Upstream/{name} may keep connections: \
                     else one that was verified for a host is used for another; say \
                     server_name, or keepalive: 0 in Upstream/{name}"
                );
                say(&asker.pointer, &rule);
                continue;
            }
            if keepalive.is_none() {
                continue;
            }
            let seen = askers.entry(name).or_default();
            let other = match asker.manner {
                Manner::Unknown => seen.first.as_ref().filter(|(_, it)| it.manner.proves()),
                manner => {
                    let first = seen.first.as_ref().filter(|(_, it)| it.manner != manner);
                    first.or(seen.snippet.as_ref().filter(|_| manner.proves()))
                }
            };
            if let Some((document, other)) = other {
                let rule = format!(
                    "Upstream/{name} keeps connections, and {document} speaks with it in \
                     another way ({}): one would use what was made for the other; name \
                     another Upstream of the same servers here, or say keepalive: 0 in \
                     Upstream/{name}",
                    other.pointer
                );
                say(&asker.pointer, &rule);
                continue;
            }
            let place = match asker.manner {
                Manner::Unknown => &mut seen.snippet,
                _ => &mut seen.first,
            };
            place.get_or_insert((owner, asker));
        }
    }
    problems
}

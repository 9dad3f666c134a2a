//! Holding back: a resource that nginx refuses keeps its last good form, so
//! that it does not keep all others from being served.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nxmesh_core::{
    bundle::Slice,
    check::{check_with, references_of},
    model::{HeldBack, ResourceKey, ResourceSet},
    snippet::SnippetPolicy,
};

use super::{BadResource, Failure, Partly, Pipeline, code, search::Budget};

/// How many resources of one version are held back at most.
const MOST: usize = 16;

/// What was held back so far.
#[derive(Debug, Default)]
pub(super) struct Isolation {
    pub(super) held: BTreeSet<ResourceKey>,
    /// What nginx refused, in its words.
    refused: Vec<HeldBack>,
    partly: Option<Partly>,
    pub(super) budget: Budget,
}

/// What is left of a version with some of its resources held back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) resources: ResourceSet,
    /// What is held back as it cannot be without another, and that other.
    lacking: BTreeMap<ResourceKey, ResourceKey>,
}

impl Isolation {
    /// What does not serve; `None` while nothing is held back.
    pub(super) const fn partly(&self) -> Option<&Partly> {
        self.partly.as_ref()
    }
}

impl Pipeline {
    /// What can be served of `wanted` without the resource at fault; `None` if
    /// none is known, isolating is not wanted, or nothing would be left that
    /// is new.
    pub(super) fn hold_back(
        &self,
        isolation: &mut Isolation,
        wanted: &Slice,
        failure: &Failure,
    ) -> Option<Arc<Slice>> {
        let resource = failure.resource.clone()?;
        let fresh = isolation.held.len() < MOST && isolation.held.insert(resource.clone());
        if self.options.bad_resource != BadResource::Isolate || !fresh {
            return None;
        }
        let nothing = ResourceSet::default();
        let good = self
            .applied_slice
            .as_deref()
            .map_or(&nothing, Slice::resources);
        let snippets = &self.options.render.snippets;
        let rest = hold_back(wanted.resources(), good, &isolation.held, snippets)?;
        if rest.resources == *good {
            return None;
        }
        tracing::warn!(%resource, code = failure.code, reason = failure.message, "held back");
        let partly = isolation.partly.get_or_insert_with(|| Partly {
            whole: self.applied.as_ref().and_then(|applied| applied.whole()),
            ..Partly::default()
        });
        partly.retryable |= failure.retryable;
        isolation.refused.push(HeldBack {
            resource: resource.to_string(),
            code: failure.code.to_owned(),
            message: failure.message.clone(),
        });
        let lacking = rest.lacking.iter().map(|(key, needed)| HeldBack {
            resource: key.to_string(),
            code: code::HELD_BACK.to_owned(),
            message: format!("it needs {needed}, which is held back"),
        });
        partly.held_back = isolation.refused.iter().cloned().chain(lacking).collect();
        Some(Arc::new(Slice::new(rest.resources)))
    }
}

/// `wanted`, but for the resources `held`, which are as in `good`, or absent
/// if they are not there, and for what cannot be without them. What held
/// resources refer to is there too. `None` if this does not fit together.
pub(super) fn hold_back(
    wanted: &ResourceSet,
    good: &ResourceSet,
    held: &BTreeSet<ResourceKey>,
    snippets: &SnippetPolicy,
) -> Option<Rest> {
    let refused = held;
    let mut held = held.clone();
    let mut needed = BTreeMap::new();
    loop {
        let mut kept = wanted.clone();
        for key in &held {
            match good.get(key) {
                Some(resource) => kept.insert(Arc::clone(resource)),
                None => kept.remove(key),
            };
        }
        add_missing(&mut kept, good);
        let before = held.len();
        for (key, resource) in kept.iter() {
            let mut targets = references_of(resource).into_iter();
            if let Some((_, target)) = targets.find(|(_, target)| kept.get(target).is_none()) {
                held.insert(key.clone());
                needed.entry(key.clone()).or_insert(target);
            }
        }
        // Each round holds back more, of which there is an end.
        if held.len() == before {
            needed.retain(|key, _| !refused.contains(key) && wanted.get(key) != kept.get(key));
            let resources = check_with(kept, snippets).ok()?.into_resources();
            return Some(Rest {
                resources,
                lacking: needed,
            });
        }
    }
}

/// Adds what is referred to and was there before.
fn add_missing(kept: &mut ResourceSet, good: &ResourceSet) {
    let mut open: Vec<ResourceKey> = kept.iter().map(|(key, _)| key.clone()).collect();
    while let Some(key) = open.pop() {
        let Some(resource) = kept.get(&key).cloned() else {
            continue;
        };
        for (_, target) in references_of(&resource) {
            if kept.get(&target).is_none()
                && let Some(earlier) = good.get(&target)
            {
                kept.insert(Arc::clone(earlier));
                open.push(target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nxmesh_core::{document::parse, model::Resource};

    use super::*;

    fn hold_back(
        wanted: &ResourceSet,
        good: &ResourceSet,
        held: &BTreeSet<ResourceKey>,
    ) -> Option<ResourceSet> {
        super::hold_back(wanted, good, held, &SnippetPolicy::default()).map(|rest| rest.resources)
    }

    fn set(text: &str) -> ResourceSet {
        let parsed = parse("test", text).unwrap_or_else(|problems| panic!("{problems:?}"));
        parsed.into_iter().map(|parsed| parsed.resource).collect()
    }

    fn host(name: &str, upstream: &str) -> String {
        format!(
            "kind: VirtualHost\nmetadata: {{ name: {name} }}\nspec:\n  server_names: [{name}.test]\n  \
             locations: [{{ path: /, proxy: {{ upstream: {upstream} }} }}]\n---\n"
        )
    }

    fn upstream(name: &str, port: u16) -> String {
        format!(
            "kind: Upstream\nmetadata: {{ name: {name} }}\nspec: {{ servers: [{{ address: \"127.0.0.1:{port}\" }}] }}\n---\n"
        )
    }

    fn held(keys: &[&str]) -> BTreeSet<ResourceKey> {
        keys.iter().map(|key| key.parse().unwrap()).collect()
    }

    fn names(resources: &ResourceSet) -> Vec<String> {
        resources.iter().map(|(key, _)| key.to_string()).collect()
    }

    #[test]
    fn a_resource_keeps_its_last_good_form() {
        let good = set(&(host("a", "x") + &host("b", "x") + &upstream("x", 1)));
        let wanted = set(&(host("a", "new") + &host("b", "new") + &upstream("new", 2)));
        let kept = hold_back(&wanted, &good, &held(&["VirtualHost/a"])).unwrap();
        assert_eq!(
            names(&kept),
            [
                "VirtualHost/a",
                "VirtualHost/b",
                "Upstream/new",
                "Upstream/x"
            ],
            "the upstream that the old form needs is kept too"
        );
        let key = "VirtualHost/a".parse().unwrap();
        assert_eq!(kept.get(&key), good.get(&key));
    }

    #[test]
    fn what_was_never_good_is_left_out_with_all_that_needs_it() {
        let good = set(&(host("a", "x") + &upstream("x", 1)));
        let wanted = set(&(host("a", "new")
            + &host("b", "new")
            + &host("c", "x")
            + &upstream("x", 1)
            + &upstream("new", 2)));
        let kept = hold_back(&wanted, &good, &held(&["Upstream/new"])).unwrap();
        assert_eq!(
            names(&kept),
            ["VirtualHost/a", "VirtualHost/c", "Upstream/x"]
        );
        let key = "VirtualHost/a".parse().unwrap();
        assert_eq!(kept.get(&key), good.get(&key));
    }

    #[test]
    fn a_name_that_moved_to_another_host_does_not_fit_the_old_form() {
        let moved = host("b", "x").replace("b.test", "a.test");
        let good = set(&(host("a", "x") + &upstream("x", 1)));
        let wanted =
            set(&(host("a", "x").replace("a.test", "c.test") + &moved + &upstream("x", 1)));
        assert_eq!(hold_back(&wanted, &good, &held(&["VirtualHost/a"])), None);
    }

    #[test]
    fn nothing_held_is_what_is_wanted() {
        let wanted = set(&(host("a", "x") + &upstream("x", 1)));
        let kept = hold_back(&wanted, &ResourceSet::default(), &BTreeSet::new());
        assert_eq!(kept, Some(wanted.clone()));
        assert!(
            wanted
                .iter()
                .all(|(_, it)| !matches!(**it, Resource::Certificate(_)))
        );
    }
}

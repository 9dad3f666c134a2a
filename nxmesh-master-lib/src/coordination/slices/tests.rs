use std::collections::BTreeSet;

use nxmesh_core::{
    bundle,
    check::check,
    model::{ResourceKind, ResourceSet},
    testkit::sample,
    wire::ConfigUpdate,
};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::*;

/// What becomes of the sample site `number`.
#[derive(Debug, Clone)]
enum Edit {
    Host {
        number: usize,
        env: &'static str,
        upstream: usize,
        text: u8,
    },
    Upstream {
        number: usize,
        weight: u16,
    },
    DropHost(usize),
    DropUpstream(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let number = 0..4_usize;
    prop_oneof![
        4 => (number.clone(), prop_oneof![Just("prod"), Just("dev")], number.clone(), any::<u8>())
            .prop_map(|(number, env, upstream, text)| Edit::Host { number, env, upstream, text }),
        3 => (number.clone(), 1..4_u16).prop_map(|(number, weight)| Edit::Upstream { number, weight }),
        1 => number.clone().prop_map(Edit::DropHost),
        1 => number.prop_map(Edit::DropUpstream),
    ]
}

fn resource(edit: &Edit) -> (ResourceKey, Option<Arc<Resource>>) {
    let (kind, number, document) = match edit {
        Edit::Host {
            number,
            env,
            upstream,
            text,
        } => (
            ResourceKind::VirtualHost,
            number,
            Some(json!({
                "kind": "VirtualHost",
                "metadata": { "name": format!("site-{number}") },
                "spec": {
                    "selector": format!("env={env}"),
                    "server_names": [format!("site-{number}.example.com")],
                    "locations": [
                        { "path": "/", "proxy": { "upstream": format!("pool-{upstream}") } },
                        { "path": "/text", "respond": { "status": 200, "body": format!("{text}") } },
                    ],
                },
            })),
        ),
        Edit::Upstream { number, weight } => (
            ResourceKind::Upstream,
            number,
            Some(json!({
                "kind": "Upstream",
                "metadata": { "name": format!("pool-{number}") },
                "spec": { "servers": [{ "address": "10.0.0.1:80", "weight": weight }] },
            })),
        ),
        Edit::DropHost(number) => (ResourceKind::VirtualHost, number, None),
        Edit::DropUpstream(number) => (ResourceKind::Upstream, number, None),
    };
    let prefix = if kind == ResourceKind::VirtualHost {
        "site"
    } else {
        "pool"
    };
    let key = ResourceKey {
        kind,
        name: format!("{prefix}-{number}").parse().unwrap(),
    };
    (
        key,
        document.map(|document| Arc::new(sample::resource(document))),
    )
}

fn labels(env: &str) -> Labels {
    Labels::from([("env".parse().unwrap(), env.parse().unwrap())])
}

/// The changes of one revision, if the engine would let it happen.
fn commit(state: &mut ResourceSet, edits: &[Edit]) -> Option<Vec<ResourceChange>> {
    let mut after = state.clone();
    let mut changes = BTreeMap::new();
    for (key, wanted) in edits.iter().map(resource) {
        match &wanted {
            Some(resource) => after.insert(Arc::clone(resource)),
            None => after.remove(&key),
        };
        changes.insert(
            key.clone(),
            ResourceChange {
                before: state.get(&key).cloned(),
                after: wanted,
                key,
            },
        );
    }
    let changes: Vec<_> = changes
        .into_values()
        .filter(|change| change.before != change.after)
        .collect();
    let after = check(after).ok()?.into_resources();
    *state = after;
    (!changes.is_empty()).then_some(changes)
}

/// A slice's documents as an agent has them: by key, in canonical form.
fn documents(slice: &Slice) -> BTreeMap<String, Bytes> {
    let documents = slice.documents().iter();
    documents
        .map(|(key, it)| (key.to_string(), it.json.clone()))
        .collect()
}

/// Lays a content over a base, as agents do.
fn lay(base: BTreeMap<String, Bytes>, content: &Content) -> BTreeMap<String, Bytes> {
    let update = ConfigUpdate::decode(content.bytes().clone()).unwrap();
    let mut laid = base;
    for gone in &update.removed {
        assert!(laid.remove(gone).is_some(), "{gone} was not in the base");
    }
    for host in update.virtual_hosts {
        laid.insert(format!("VirtualHost/{}", host.name), host.document);
    }
    for upstream in update.upstreams {
        laid.insert(format!("Upstream/{}", upstream.name), upstream.document);
    }
    for (name, document) in update.ssl_certificates {
        laid.insert(format!("Certificate/{name}"), document.into());
    }
    laid
}

const fn version(revision: u64) -> Version {
    Version { epoch: 1, revision }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is edited, in whatever batches it is taken in: slices are what
    /// cutting the whole workspace gives, versions rise exactly with the
    /// content, and a delta from any slice kept leads to the same documents.
    #[test]
    fn following_the_history_is_as_good_as_cutting_anew(
        revisions in proptest::collection::vec(proptest::collection::vec(edit(), 1..5), 1..12),
        batch in 1..4_usize,
    ) {
        let mut state = ResourceSet::default();
        let mut history = Vec::new();
        for edits in &revisions {
            if let Some(changes) = commit(&mut state, edits) {
                history.push((version(history.len() as u64 + 1), changes, state.clone()));
            }
        }
        let mut workspace = Workspace::default();
        let both = [labels("prod"), labels("dev")];
        let mut targets: Vec<Target> = both.iter().map(|it| workspace.target(it, version(0))).collect();
        for batch in history.chunks(batch) {
            let revisions = batch.iter().map(|(version, changes, _)| (*version, &changes[..]));
            let renewed: BTreeSet<Labels> = workspace.advance(revisions).renewed.into_iter().collect();
            let (newest, _, state) = batch.last().unwrap();
            for (labels, before) in both.iter().zip(&mut targets) {
                let now = workspace.target(labels, *newest);
                let cut = bundle::Slice::cut(state, labels);
                prop_assert_eq!(now.slice.digest(), cut.digest());
                let differs = now.slice.digest() != before.slice.digest();
                prop_assert_eq!(renewed.contains(labels), differs);
                prop_assert_eq!(now.version > before.version, differs);
                prop_assert!(now.version <= *newest);
                let whole = documents(&now.slice);
                prop_assert_eq!(&lay(BTreeMap::new(), &Content::whole(&now.slice)), &whole);
                if differs {
                    let base = workspace.earlier(labels, before.slice.digest()).unwrap();
                    let delta = Content::delta(&base, &now.slice);
                    prop_assert_eq!(&lay(documents(&base), &delta), &whole);
                }
                *before = now;
            }
        }
    }
}

#[test]
fn only_so_many_bases_are_kept() {
    let mut workspace = Workspace::default();
    let prod = labels("prod");
    let mut digests = vec![workspace.target(&prod, version(0)).slice.digest()];
    for revision in 1..=20 {
        let edit = Edit::Host {
            number: 0,
            env: "prod",
            upstream: 0,
            text: revision,
        };
        let (key, after) = resource(&edit);
        let change = ResourceChange {
            key,
            before: None,
            after,
        };
        workspace.advance([(version(u64::from(revision)), &[change][..])]);
        digests.push(workspace.target(&prod, version(20)).slice.digest());
    }
    let kept = digests
        .iter()
        .filter(|digest| workspace.earlier(&prod, **digest).is_some());
    assert_eq!(kept.count(), BASES_KEPT);
    assert!(workspace.earlier(&prod, digests[19]).is_some());
}

#[test]
fn a_slice_is_encoded_once() {
    let mut workspace = Workspace::default();
    let change = |text| {
        let (key, after) = resource(&Edit::Host {
            number: 0,
            env: "prod",
            upstream: 0,
            text,
        });
        [ResourceChange {
            key,
            before: None,
            after,
        }]
    };
    workspace.advance([(version(1), &change(1)[..])]);
    let first = workspace.target(&labels("prod"), version(1)).slice;
    let again = workspace.target(&labels("prod"), version(1)).slice;
    assert!(Arc::ptr_eq(&first.content(None), &again.content(None)));
}

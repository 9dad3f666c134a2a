//! The same in, the same out: in any order, on any thread.

use std::{collections::BTreeSet, sync::Arc};

use nxmesh_core::{
    contract::renderer::{RenderSettings, Renderer as _},
    model::{Resource, ResourceSet},
    testkit::sample,
};
use nxmesh_render::HandlebarsRenderer;
use proptest::prelude::*;

fn sites() -> Vec<Arc<Resource>> {
    let fleet = sample::fleet(20);
    let tls = [
        Resource::from(sample::tls_virtual_host("shop")),
        sample::upstream("shop").into(),
        sample::certificate("shop").into(),
        sample::other_certificate("other").into(),
    ];
    let fleet = fleet.iter().map(|(_, resource)| Arc::clone(resource));
    fleet.chain(tls.map(Arc::new)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_order_of_insertion_does_not_matter(shuffled in Just(sites()).prop_shuffle()) {
        let settings = RenderSettings::default();
        let renderer = HandlebarsRenderer::new();
        let sorted: ResourceSet = sites().into_iter().collect();
        let expected = renderer.render(&sorted, &settings).unwrap();
        let set: ResourceSet = shuffled.iter().cloned().collect();
        prop_assert_eq!(&renderer.render(&set, &settings).unwrap(), &expected);

        // Added one by one, each time rendering only what was added.
        let mut set = ResourceSet::default();
        let mut tree = renderer.render(&set, &settings).unwrap();
        let (others, hosts): (Vec<_>, Vec<_>) = shuffled
            .into_iter()
            .partition(|one| !matches!(**one, Resource::VirtualHost(_)));
        for resource in others.into_iter().chain(hosts) {
            let changed = BTreeSet::from([resource.key()]);
            set.insert(resource);
            tree = renderer.rerender(tree, &set, &changed, &settings).unwrap();
        }
        prop_assert_eq!(tree.digest(), expected.digest());
        prop_assert_eq!(tree, expected);
    }
}

#[test]
fn threads_share_a_renderer() {
    let settings = RenderSettings::default();
    let renderer = HandlebarsRenderer::new();
    let set: ResourceSet = sites().into_iter().collect();
    let expected = renderer.render(&set, &settings).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(renderer.render(&set, &settings).unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn a_resource_that_moves_to_another_workspace_leaves_no_file_behind() {
    let settings = RenderSettings::default();
    let renderer = HandlebarsRenderer::new();
    let mut set = sample::fleet(3);
    let tree = renderer.render(&set, &settings).unwrap();
    let mut moved = sample::upstream("site-00001");
    moved.metadata.workspace = "elsewhere".parse().unwrap();
    let changed = BTreeSet::from([Resource::from(moved.clone()).key()]);
    set.insert(Resource::from(moved));
    let again = renderer.rerender(tree, &set, &changed, &settings).unwrap();
    assert_eq!(again, renderer.render(&set, &settings).unwrap());
}

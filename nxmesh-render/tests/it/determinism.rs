//! The same resources give the same tree, however they came together.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use nxmesh_core::{
    contract::renderer::{RenderSettings, RenderedTree, Renderer as _},
    model::{Resource, ResourceSet},
    testkit::sample,
};
use nxmesh_render::HandlebarsRenderer;

use crate::golden;

/// A few sites of every kind there is in the samples.
fn sites() -> ResourceSet {
    let mut sites = sample::fleet(10);
    for name in ["safe", "shop"] {
        sites.insert(Resource::from(sample::tls_virtual_host(name)));
        sites.insert(Resource::from(sample::upstream(name)));
        sites.insert(Resource::from(sample::certificate(name)));
    }
    sites
}

fn render(resources: &ResourceSet) -> RenderedTree {
    let rendered = HandlebarsRenderer::new().render(resources, &RenderSettings::default());
    rendered.unwrap_or_else(|error| panic!("{error}"))
}

/// Numbers that look random and are the same in every run (Knuth's MMIX).
struct Shuffle(u64);

impl Shuffle {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

fn shuffled(resources: &ResourceSet, shuffle: &mut Shuffle) -> Vec<Arc<Resource>> {
    let mut all: Vec<_> = resources.iter().map(|(_, one)| Arc::clone(one)).collect();
    shuffle.shuffle(&mut all);
    all
}

#[test]
fn a_thousand_orders_of_insertion_give_one_tree() {
    let sites = sites();
    let expected = render(&sites);
    let renderer = HandlebarsRenderer::new();
    for seed in 0..1_000 {
        let all = shuffled(&sites, &mut Shuffle(seed));
        // Some come, go and come again.
        let mut set: ResourceSet = all.iter().rev().step_by(3).cloned().collect();
        for one in all.iter().step_by(4) {
            set.remove(&one.key());
        }
        for one in all {
            set.insert(one);
        }
        let tree = renderer.render(&set, &RenderSettings::default());
        let tree = tree.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(tree, expected, "order {seed}");
        assert_eq!(tree.digest(), expected.digest());
    }
}

/// What a resource was before it became what it is.
fn earlier(resource: &Resource) -> Resource {
    match resource.clone() {
        Resource::VirtualHost(mut host) => {
            host.spec.locations.truncate(1);
            host.into()
        }
        Resource::Upstream(mut upstream) => {
            upstream.spec.servers.truncate(1);
            upstream.into()
        }
        Resource::Certificate(certificate) => {
            sample::other_certificate(certificate.metadata.name.as_str()).into()
        }
        other => other,
    }
}

#[test]
fn a_thousand_orders_of_change_give_one_tree() {
    let sites = sites();
    let expected = render(&sites);
    let before: ResourceSet = sites.iter().map(|(_, one)| earlier(one)).collect();
    let rendered_before = render(&before);
    assert_ne!(rendered_before, expected);
    let renderer = HandlebarsRenderer::new();
    for seed in 0..1_000 {
        let mut shuffle = Shuffle(seed);
        let (mut set, mut tree) = (before.clone(), rendered_before.clone());
        let mut left = shuffled(&sites, &mut shuffle);
        while !left.is_empty() {
            let at_once = left.split_off(left.len() - 1 - shuffle.below(left.len().min(6)));
            let changed: BTreeSet<_> = at_once.iter().map(|one| one.key()).collect();
            for one in at_once {
                set.insert(one);
            }
            tree = renderer
                .rerender(tree, &set, &changed, &RenderSettings::default())
                .unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(tree, expected, "order {seed}");
        assert_eq!(tree.digest(), expected.digest());
    }
}

/// Every feature there is a golden tree of.
#[test]
fn golden_models_give_one_tree_in_any_order() {
    for case in golden::cases() {
        let (model, settings) = (golden::model(&case), golden::settings(&case));
        let render = |set: &ResourceSet| {
            HandlebarsRenderer::new()
                .render(set, &settings)
                .unwrap_or_else(|error| panic!("{}: {error}", case.display()))
        };
        let expected = render(&model);
        for seed in 0..20 {
            let set = shuffled(&model, &mut Shuffle(seed)).into_iter().collect();
            assert_eq!(render(&set), expected, "{}", case.display());
        }
        let threads = NonZeroUsize::MIN.saturating_add(2);
        let parallel = HandlebarsRenderer::new().render_parallel(&model, &settings, threads);
        assert_eq!(parallel.ok(), Some(expected), "{}", case.display());
    }
}

#[test]
fn any_number_of_threads_gives_one_tree() {
    let mut fleet = sample::fleet(400);
    for (_, one) in sites().iter() {
        fleet.insert(Arc::clone(one));
    }
    let (renderer, settings) = (HandlebarsRenderer::new(), RenderSettings::default());
    let expected = render(&fleet);
    for threads in [1, 2, 3, 4, 7, 16, 1_000]
        .into_iter()
        .filter_map(NonZeroUsize::new)
    {
        let tree = renderer.render_parallel(&fleet, &settings, threads);
        assert_eq!(tree.ok(), Some(expected.clone()), "{threads} threads");
    }
    // Of many errors always the one that a single thread meets first.
    for number in (20..400).step_by(7) {
        let upstream = sample::upstream(&format!("site-{number:05}"));
        fleet.remove(&Resource::from(upstream).key());
    }
    let first = renderer
        .render(&fleet, &settings)
        .map(|_| ())
        .map_err(|error| error.to_string());
    assert!(
        first
            .as_ref()
            .is_err_and(|error| error.contains("site-00020")),
        "{first:?}"
    );
    for _ in 0..20 {
        for threads in [1, 2, 8].into_iter().filter_map(NonZeroUsize::new) {
            let found = renderer.render_parallel(&fleet, &settings, threads);
            assert_eq!(found.map(|_| ()).map_err(|error| error.to_string()), first);
        }
    }
}

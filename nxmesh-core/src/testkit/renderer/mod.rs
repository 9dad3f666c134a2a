//! The conformance suite of [`Renderer`].
//!
//! Clause 4 is judged by reading the files as nginx's lexer does; that nginx
//! itself agrees is for tests with a real one.

pub mod hostile;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use super::sample;
use crate::{
    contract::renderer::{RenderError, RenderSettings, RenderedTree, Renderer},
    model::{Resource, ResourceKey, ResourceKind, ResourceSet},
    syntax::{self, Block, Config, Directive},
};

/// Makes renderers to be tested.
pub trait Rig {
    /// The renderer under test.
    type Subject: Renderer;

    /// A new renderer.
    fn start() -> Self::Subject;
}

/// Emits one test per clause of the [`Renderer`](crate::contract::renderer::Renderer)
/// contract for a [`Rig`](crate::testkit::renderer::Rig).
#[macro_export]
macro_rules! renderer_conformance {
    ($rig:ty) => {
        $crate::renderer_conformance! { @each $rig:
            // 1
            the_same_gives_the_same,
            paths_are_plain,
            // 2
            each_resource_has_one_file,
            a_file_changes_with_its_resource_only,
            a_file_changes_with_what_it_refers_to,
            // 3
            rerender_gives_what_render_gives,
            // 4
            no_text_changes_the_structure,
            texts_are_read_back,
            // 5
            a_missing_reference_is_an_error,
        }
    };
    (@each $rig:ty: $($clause:ident,)+) => {
        $(
            #[test]
            fn $clause() {
                $crate::testkit::renderer::$clause::<$rig>();
            }
        )+
    };
}

fn render(subject: &impl Renderer, resources: &ResourceSet) -> RenderedTree {
    subject
        .render(resources, &RenderSettings::default())
        .unwrap_or_else(|error| panic!("rendering {} resources: {error}", resources.len()))
}

fn rerender(
    subject: &impl Renderer,
    previous: RenderedTree,
    resources: &ResourceSet,
    changed: &BTreeSet<ResourceKey>,
) -> RenderedTree {
    subject
        .rerender(previous, resources, changed, &RenderSettings::default())
        .unwrap_or_else(|error| panic!("rendering {changed:?} again: {error}"))
}

/// Twelve plain sites, and one with TLS.
fn sites() -> ResourceSet {
    let mut resources = sample::fleet(12);
    resources.insert(Resource::from(sample::tls_virtual_host("shop")));
    resources.insert(Resource::from(sample::upstream("shop")));
    resources.insert(Resource::from(sample::certificate("shop")));
    resources
}

/// One virtual host and the upstream it may refer to.
fn one(resource: &Resource) -> ResourceSet {
    [sample::upstream("shop").into(), resource.clone()]
        .into_iter()
        .collect()
}

fn file<'a>(tree: &'a RenderedTree, key: &ResourceKey) -> &'a [u8] {
    let mut files = tree
        .files()
        .filter(|(_, file)| file.resource.as_ref() == Some(key));
    match (files.next(), files.next()) {
        (Some((_, file)), None) => &file.contents,
        (None, _) => panic!("{key} has no file"),
        (Some((first, _)), Some((second, _))) => {
            panic!("{key} has more than one file: {first} and {second}")
        }
    }
}

fn parse<'t>(key: &ResourceKey, text: &'t [u8]) -> Config<'t> {
    let text = std::str::from_utf8(text).unwrap_or_else(|error| panic!("{key}: {error}"));
    syntax::parse(text).unwrap_or_else(|error| panic!("{key}: {error} in\n{text}"))
}

/// What remains when the arguments' contents are taken away: names, counts of
/// words and nesting.
fn shape(directives: &[Directive<'_>]) -> String {
    let shapes: Vec<String> = directives
        .iter()
        .map(|directive| {
            let block = match directive.block() {
                None => String::new(),
                Some(Block::Directives(inner)) => shape(inner),
                Some(Block::Values(entries)) => format!(
                    "{:?}",
                    entries
                        .iter()
                        .map(|entry| entry.words().len())
                        .collect::<Vec<_>>()
                ),
                Some(Block::Lua(code)) => format!("{code:?}"),
            };
            format!(
                "{}/{}{block}",
                directive.name(),
                directive.arguments().len()
            )
        })
        .collect();
    format!("{{{}}}", shapes.join(";"))
}

/// Whether one of the words is, or has in it, `text`.
fn says(directives: &[Directive<'_>], text: &str) -> bool {
    directives.iter().any(|directive| {
        let in_values = match directive.block() {
            Some(Block::Values(entries)) => entries
                .iter()
                .flat_map(|entry| entry.words())
                .any(|word| word.value().contains(text)),
            _ => false,
        };
        in_values
            || directive
                .arguments()
                .iter()
                .any(|word| word.value().contains(text))
            || says(directive.directives(), text)
    })
}

/// Clause 1: again, by another renderer, and after other work.
pub fn the_same_gives_the_same<R: Rig>() {
    let subject = R::start();
    let forward: Vec<_> = sites().iter().map(|(_, one)| Arc::clone(one)).collect();
    let backward: ResourceSet = forward.iter().rev().cloned().collect();
    let first = render(&subject, &sites());
    assert_eq!(render(&subject, &backward), first);
    render(&subject, &sample::fleet(3));
    assert_eq!(render(&subject, &backward), first);
    assert_eq!(render(&R::start(), &backward), first);
    assert_eq!(render(&R::start(), &backward).digest(), first.digest());
    assert_ne!(first.digest(), render(&subject, &sample::fleet(3)).digest());
    // The settings count.
    let elsewhere = RenderSettings {
        tls_dir: PathBuf::from("/elsewhere"),
        ..RenderSettings::default()
    };
    let moved = subject.render(&sites(), &elsewhere).expect("render");
    assert_ne!(moved.digest(), first.digest());
}

/// Paths can be written below a folder as they are, on any file system.
pub fn paths_are_plain<R: Rig>() {
    let tree = render(&R::start(), &sites());
    let names = tree.pem_files().map(|(name, _)| name);
    for path in tree.files().map(|(path, _)| path).chain(names) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        assert!(path.bytes().all(plain), "{path:?}");
        let steps_down = |part: &str| !matches!(part, "" | "." | "..");
        assert!(path.split('/').all(steps_down), "{path:?}");
    }
    assert!(tree.pem_files().all(|(name, _)| !name.contains('/')));
}

/// Clause 2: one file per virtual host and per upstream, and what belongs to
/// no resource says so.
pub fn each_resource_has_one_file<R: Rig>() {
    let resources = sites();
    let tree = render(&R::start(), &resources);
    for (key, _) in resources.iter() {
        if key.kind != ResourceKind::Certificate {
            parse(key, file(&tree, key));
        }
    }
    for (path, file) in tree.files() {
        let known = |key| resources.get(key).is_some();
        assert!(file.resource.as_ref().is_none_or(known), "{path}");
    }
}

/// Clause 2: the files of others keep their bytes.
pub fn a_file_changes_with_its_resource_only<R: Rig>() {
    let subject = R::start();
    let before = render(&subject, &sites());
    let mut changed_host = sample::tls_virtual_host("site-00003");
    changed_host.spec.tls = None;
    changed_host.spec.listen.truncate(1);
    changed_host.spec.locations.truncate(1);
    let mut changed_upstream = sample::upstream("site-00004");
    changed_upstream.spec.servers.truncate(1);
    for changed in [Resource::from(changed_host), changed_upstream.into()] {
        let mut resources = sites();
        resources.insert(changed.clone());
        let after = render(&subject, &resources);
        for (key, _) in resources.iter() {
            if key.kind == ResourceKind::Certificate {
                continue;
            }
            let same = file(&before, key) == file(&after, key);
            assert_eq!(
                same,
                *key != changed.key(),
                "{key} when {} changes",
                changed.key()
            );
        }
    }
}

/// Clause 2: another certificate under the same name is other bytes, in the
/// virtual host and beside it.
pub fn a_file_changes_with_what_it_refers_to<R: Rig>() {
    let subject = R::start();
    let before = render(&subject, &sites());
    let mut resources = sites();
    let certificate = sample::other_certificate("shop");
    resources.insert(Resource::from(certificate.clone()));
    let after = render(&subject, &resources);
    let key = Resource::from(sample::virtual_host("shop")).key();
    assert_ne!(file(&before, &key), file(&after, &key));
    for (tree, chain, private) in [
        (&before, sample::SHOP_CERTIFICATE, sample::SHOP_KEY),
        (&after, sample::BLOG_CERTIFICATE, sample::BLOG_KEY),
    ] {
        let carries = |secret, text: &str| {
            tree.pem_files().any(|(name, pem)| {
                let named = String::from_utf8_lossy(file(tree, &key)).contains(name);
                named && pem.secret == secret && pem.contents.contains(text.trim())
            })
        };
        assert!(carries(true, private), "the private key is not there");
        assert!(
            carries(false, chain) || carries(true, chain),
            "the chain is not there"
        );
        let secrets = tree
            .pem_files()
            .filter(|(_, pem)| pem.contents.contains("PRIVATE KEY"));
        assert!(
            secrets.into_iter().all(|(_, pem)| pem.secret),
            "a key is not marked secret"
        );
    }
}

/// Clause 3: after each of a row of changes.
pub fn rerender_gives_what_render_gives<R: Rig>() {
    let subject = R::start();
    let mut resources = sites();
    let mut tree = render(&subject, &resources);
    let mut changed_host = sample::virtual_host("site-00005");
    changed_host.spec.locations.truncate(1);
    let mut renamed = sample::virtual_host("site-00006");
    renamed.spec.server_names = sample::virtual_host("renamed").spec.server_names;
    let mut no_tls = sample::virtual_host("shop");
    no_tls.spec.locations.clear();
    let steps: [Vec<Change>; 12] = [
        vec![],
        vec![put(changed_host)],
        vec![put(sample::upstream("site-00007"))],
        vec![put(sample::other_certificate("shop"))],
        vec![Change::Remove(ResourceKind::VirtualHost, "site-00002")],
        vec![
            Change::Remove(ResourceKind::VirtualHost, "site-00003"),
            Change::Remove(ResourceKind::Upstream, "site-00003"),
        ],
        vec![
            put(sample::virtual_host("new")),
            put(sample::upstream("new")),
        ],
        // Named as changed, with the same content.
        vec![put(sample::certificate("unused"))],
        vec![put(sample::virtual_host("site-00001"))],
        vec![put(renamed)],
        vec![put(no_tls)],
        vec![
            Change::Remove(ResourceKind::Certificate, "shop"),
            put(sample::virtual_host("site-00002")),
        ],
    ];
    for (number, step) in steps.into_iter().enumerate() {
        let mut changed = BTreeSet::new();
        for change in step {
            changed.insert(change.make(&mut resources));
        }
        tree = rerender(&subject, tree, &resources, &changed);
        let expected = render(&R::start(), &resources);
        assert_eq!(
            tree, expected,
            "after step {number}, which changed {changed:?}"
        );
        assert_eq!(tree.digest(), expected.digest());
    }
}

enum Change {
    Put(Box<Resource>),
    Remove(ResourceKind, &'static str),
}

fn put(document: impl Into<Resource>) -> Change {
    Change::Put(Box::new(document.into()))
}

impl Change {
    fn make(self, resources: &mut ResourceSet) -> ResourceKey {
        match self {
            Self::Put(resource) => {
                let key = resource.key();
                resources.insert(*resource);
                key
            }
            Self::Remove(kind, name) => {
                let name = name.parse().expect("a name");
                let key = ResourceKey { kind, name };
                resources.remove(&key).expect("what is removed is there");
                key
            }
        }
    }
}

/// Clause 4: whatever text stands in a field, the file has the same directives,
/// blocks and numbers of words.
pub fn no_text_changes_the_structure<R: Rig>() {
    let subject = R::start();
    for field in hostile::fields() {
        let key = field.plain.key();
        let tree = render(&subject, &one(&field.plain));
        let expected = shape(parse(&key, file(&tree, &key)).directives());
        for (text, resource) in field.hostile {
            let tree = render(&subject, &one(&resource));
            let found = shape(parse(&key, file(&tree, &key)).directives());
            assert_eq!(found, expected, "{text:?} in {}", field.name);
        }
    }
}

/// Clause 4: each text stands in one word, byte for byte. Texts with `$` are
/// for a real nginx to judge, since a renderer may write it through a variable.
pub fn texts_are_read_back<R: Rig>() {
    let subject = R::start();
    for field in hostile::fields() {
        for (text, resource) in field.hostile {
            if text.contains('$') {
                continue;
            }
            let key = resource.key();
            let tree = render(&subject, &one(&resource));
            let config = parse(&key, file(&tree, &key));
            let found = says(config.directives(), text);
            assert!(found, "{text:?} in {} is not read back", field.name);
        }
    }
}

/// Clause 5, when everything is rendered and when a part is.
pub fn a_missing_reference_is_an_error<R: Rig>() {
    let subject = R::start();
    for kind in [ResourceKind::Upstream, ResourceKind::Certificate] {
        let mut resources = sites();
        let tree = render(&subject, &resources);
        let name = "shop".parse().expect("a name");
        let gone = ResourceKey { kind, name };
        resources.remove(&gone).expect("what is removed is there");
        let settings = RenderSettings::default();
        assert_missing(subject.render(&resources, &settings), &gone);
        let changed = BTreeSet::from([gone.clone()]);
        let again = subject.rerender(tree, &resources, &changed, &settings);
        assert_missing(again, &gone);
    }
}

fn assert_missing(result: Result<RenderedTree, RenderError>, gone: &ResourceKey) {
    match result {
        Err(RenderError::MissingReference { resource, missing }) => {
            assert_eq!(&missing, gone);
            assert_eq!(resource.to_string(), "VirtualHost/shop");
        }
        Err(other) => panic!("{gone} is missing, but the error is {other}"),
        Ok(_) => panic!("{gone} is missing, but rendering succeeded"),
    }
}

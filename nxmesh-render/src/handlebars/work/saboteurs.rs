//! Words whose quoting is broken are caught, wherever they stand.

use std::collections::BTreeMap;

use nxmesh_core::{
    syntax::{Block, Directive, parse},
    testkit::sample,
};

use super::*;

/// What a word may look like that was not quoted, or wrongly.
const BROKEN: [&str; 22] = [
    "; evil on",
    "x; evil on",
    "x;",
    "x }",
    "}",
    "{",
    "x {",
    "x{}",
    "x y",
    "#x",
    "",
    " ",
    "\n",
    "x\n",
    "\"x",
    "\"x\" y",
    "\"x\"y",
    "'x",
    "x\\",
    "\"x\\\"",
    "\"; } evil on; {",
    "x\"; evil on; \"",
];

/// Names, nesting and numbers of words: what no value may change.
fn shape(directives: &[Directive<'_>]) -> Vec<String> {
    let one = |directive: &Directive<'_>| {
        let inner = match directive.block() {
            None => Vec::new(),
            Some(Block::Directives(inner)) => shape(inner),
            Some(Block::Values(entries)) => {
                let words = entries.iter().map(|entry| entry.words().len().to_string());
                words.collect()
            }
            Some(Block::Lua(code)) => vec![(*code).to_owned()],
        };
        let (name, words) = (directive.name(), directive.arguments().len());
        format!("{name}/{words}/{:?}{inner:?}", directive.block().is_some())
    };
    directives.iter().map(one).collect()
}

fn resources() -> ResourceSet {
    let mut host = sample::tls_virtual_host("shop");
    host.spec
        .locations
        .extend(sample::virtual_host("other").spec.locations);
    [
        Resource::from(host),
        sample::upstream("shop").into(),
        sample::upstream("other").into(),
        sample::certificate("shop").into(),
    ]
    .into_iter()
    .collect()
}

#[test]
fn a_broken_word_does_not_get_out() {
    let renderer = crate::HandlebarsRenderer::new();
    let programs = renderer.programs(&ResourceSet::default()).unwrap();
    let resources = resources();
    let settings = RenderSettings::default();
    let mut caught = BTreeMap::new();
    for (key, resource) in resources.iter() {
        if key.kind == ResourceKind::Certificate {
            continue;
        }
        let mut work = Work::new(&programs, &resources, &settings, RenderedTree::default());
        work.add(key, resource).unwrap();
        let values = work.output.values.len();
        assert!(values > 5, "{key} has {values} values only");
        let sound = String::from_utf8(work.output.text.clone()).unwrap();
        let sound = shape(parse(&sound).unwrap().directives());
        for at in 0..values {
            for broken in BROKEN {
                work.output.sabotage = Some((at, broken));
                let result = work.add(key, resource);
                // Judged by the whole file, without knowing where values stand.
                let text = String::from_utf8(work.output.text.clone()).unwrap();
                let same = parse(&text).is_ok_and(|found| shape(found.directives()) == sound);
                match result {
                    Ok(()) => assert!(same, "{broken:?} as value {at} got out:\n{text}"),
                    Err(RenderError::Structure { resource, .. }) => {
                        assert_eq!(resource, *key);
                        *caught.entry(broken).or_insert(0) += 1;
                    }
                    Err(other) => panic!("{broken:?} as value {at}: {other}"),
                }
            }
        }
    }
    // Every one of them is broken in most places.
    for broken in BROKEN {
        let times = caught.get(broken).copied().unwrap_or_default();
        assert!(times > 10, "{broken:?} was caught {times} times");
    }
}

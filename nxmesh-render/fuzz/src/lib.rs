//! What must hold for any bytes. Each target panics where it does not.
//!
//! `cargo xtask fuzz` runs them with libFuzzer, and the tests of `nxmesh-render`
//! for a moment, which is why nothing here but the standard library and the two
//! crates is used.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use nxmesh_core::{
    check::check,
    contract::renderer::{RenderError, RenderSettings, RenderedTree, Renderer as _},
    document,
    model::ResourceSet,
    snippet::{SnippetContext, SnippetPolicy, SnippetText},
    syntax::{self, Config, Event, Reader},
    testkit::sample,
};
use nxmesh_render::{
    HandlebarsRenderer, import,
    token::{MAX_WORD_BYTES, QuoteError, quote, quote_expanding},
};

static RENDERER: LazyLock<HandlebarsRenderer> = LazyLock::new(HandlebarsRenderer::new);

/// A document is refused with a problem, or means the same when it is written
/// and read again; and what was checked renders into the structure that the
/// templates say.
pub fn document(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = match document::parse("fuzz", &text) {
        Ok(parsed) => parsed,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a problem");
            return;
        }
    };
    let mut resources = ResourceSet::default();
    for one in parsed {
        let written = serde_json::to_value(&one.resource).expect("a document is JSON");
        let again = document::parse_value("again", written).expect("it was read before");
        assert_eq!(again, one.resource);
        resources.insert(one.resource);
    }
    if let Ok(checked) = check(resources) {
        render(checked.resources());
    }
}

/// A text is refused for what it is, or nginx reads it back as one word.
pub fn quoting(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for (quoted, expands) in [(quote(&text), false), (quote_expanding(&text), true)] {
        let word = match quoted {
            Ok(word) => word.to_string(),
            Err(QuoteError::Control { character, at }) => {
                assert!(character.is_control() && text[at..].starts_with(character));
                continue;
            }
            Err(QuoteError::TooLong { bytes }) => {
                assert!(bytes > MAX_WORD_BYTES);
                continue;
            }
            Err(other) => panic!("{other}"),
        };
        let line = format!("name {word} next;");
        let config = syntax::parse(&line).expect("a word is a word");
        let [directive] = config.directives() else {
            panic!("{line} is more than one directive");
        };
        let [read, next] = directive.arguments() else {
            panic!("{line} has more or fewer words");
        };
        assert_eq!(next.raw(), "next");
        if expands {
            let literal = read.value().replace("${nxmesh_dollar}", "");
            assert!(!literal.contains('$'), "{line} expands a variable");
            assert_eq!(read.value().replace("${nxmesh_dollar}", "$"), text);
        } else {
            assert_eq!(read.value(), text);
        }
    }
}

/// Whole directives, put into a block, are the directives of that block and
/// nothing else. The first byte chooses the block.
pub fn snippet(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(data);
    let Ok(snippet) = SnippetText::parse(&text) else {
        return;
    };
    assert_eq!(snippet.as_str(), text);
    let own = snippet.config();
    assert!(!own.directives().is_empty());
    let placed = format!("before;\nblock {{\n{text}\n}}\nafter;\n");
    let around = syntax::parse(&placed).expect("it was parsed alone");
    let [before, block, after] = around.directives() else {
        panic!("it left its block");
    };
    assert_eq!(
        (before.name(), block.name(), after.name()),
        ("before", "block", "after")
    );
    assert_eq!(block.directives(), own.directives());

    let context = SnippetContext::ALL[usize::from(*choice) % SnippetContext::ALL.len()];
    if let Ok(approved) = SnippetPolicy::default().approve(context, &snippet) {
        assert_eq!(approved.as_str(), text);
        for directive in own.directives() {
            let known = SnippetPolicy::built_in()
                .any(|(name, contexts)| name == directive.name() && contexts.contains(&context));
            assert!(known, "approved, but not allowed");
        }
        // Neither there nor in a block of its own.
        let refused = |name: &str| {
            [
                "include",
                "load_module",
                "root",
                "listen",
                "ssl_certificate",
            ]
            .contains(&name)
                || name.contains("_by_lua")
        };
        assert!(!any_name(&own, refused));
    }
}

/// An existing configuration is refused, or becomes resources that fit together
/// and render, the same every time, and what is told of it stands in it.
pub fn import(data: &[u8]) {
    let entry = Path::new("/etc/nginx/nginx.conf");
    let types = b"types { text/html html; }\n".to_vec();
    let files = BTreeMap::from([
        (entry.to_owned(), data.to_vec()),
        (entry.with_file_name("mime.types"), types),
    ]);
    let Ok(imported) = import::import(&files, entry, import::Scale::Full) else {
        return;
    };
    let again = import::import(&files, entry, import::Scale::Full).expect("it was imported before");
    assert_eq!(imported, again);
    let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
    for note in imported.notes.iter().filter(|note| note.file == entry) {
        assert!((1..=lines).contains(&(note.line as usize)), "{note:?}");
    }
    let resources = imported.resources.into_iter().collect();
    let checked = check(resources).unwrap_or_else(|problems| panic!("{}", problems[0]));
    render(checked.resources());
}

/// A configuration that is read is the same when it is written and read again,
/// and reading it bit by bit finds the same.
pub fn syntax(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let tree = syntax::parse(&text);
    let mut reader = Reader::new(text.as_bytes());
    let (mut words, mut comments) = (0, 0);
    let ended = loop {
        match reader.next() {
            Ok(Event::Word { start, end, .. }) => {
                assert!(start < end && text.is_char_boundary(start) && text.is_char_boundary(end));
                words += 1;
            }
            Ok(Event::Comment { .. }) => comments += 1,
            Ok(Event::Done) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    let config = match (tree, ended) {
        (Ok(config), Ok(())) => config,
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            return;
        }
        (tree, ended) => panic!("{tree:?} but {ended:?}"),
    };
    assert_eq!(config.comments().len(), comments);
    assert_eq!(words_of(&config), words);
    let written = config.to_string();
    let again = syntax::parse(&written).expect("it was parsed before");
    assert_eq!(again.directives(), config.directives());
}

/// A template is refused, or writes what its values cannot change.
pub fn template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(renderer) = HandlebarsRenderer::with_templates([("location", &*text)]) else {
        return;
    };
    let host = document::parse_value(
        "fuzz",
        serde_json::json!({
            "kind": "VirtualHost",
            "metadata": { "name": "shop" },
            "spec": {
                "server_names": ["shop.example.com"],
                "response_headers": [{ "name": "X-A", "value": "\"; } evil on; {" }],
                "locations": [{
                    "path": "/ \"; } evil on; {",
                    "proxy": { "upstream": "shop" },
                    "response_headers": [{ "name": "X-B", "value": "; evil on; #" }],
                }],
            },
        }),
    )
    .expect("a document");
    let resources = ResourceSet::from_iter([host, sample::upstream("shop").into()]);
    match renderer.render(&resources, &RenderSettings::default()) {
        Ok(tree) => {
            all_parse(&tree);
            let evil = |name: &str| name == "evil" && !text.contains("evil");
            for (_, file) in tree.files() {
                let file = std::str::from_utf8(&file.contents).expect("files are UTF-8");
                assert!(
                    !any_name(&syntax::parse(file).expect("parsed"), evil),
                    "{file}"
                );
            }
        }
        Err(RenderError::Structure { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

/// What was checked renders, or is too new or too large.
fn render(resources: &ResourceSet) {
    match RENDERER.render(resources, &RenderSettings::default()) {
        Ok(tree) => all_parse(&tree),
        Err(RenderError::Unsupported { .. } | RenderError::Unrenderable { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

fn all_parse(tree: &RenderedTree) {
    for (path, file) in tree.files() {
        let text = std::str::from_utf8(&file.contents).expect("files are UTF-8");
        syntax::parse(text).unwrap_or_else(|error| panic!("{path}: {error} in\n{text}"));
    }
}

fn any_name(config: &Config<'_>, wanted: impl Fn(&str) -> bool) -> bool {
    let mut left: Vec<_> = config.directives().iter().collect();
    while let Some(directive) = left.pop() {
        if wanted(directive.name()) {
            return true;
        }
        left.extend(directive.directives());
    }
    false
}

fn words_of(config: &Config<'_>) -> usize {
    let mut words = 0;
    let mut left: Vec<_> = config.directives().iter().collect();
    while let Some(directive) = left.pop() {
        words += 1 + directive.arguments().len();
        if let Some(syntax::Block::Values(entries)) = directive.block() {
            words += entries
                .iter()
                .map(|entry| entry.words().len())
                .sum::<usize>();
        }
        left.extend(directive.directives());
    }
    words
}

//! The tree: what is in it, and that it is text again.

use nxmesh_core::syntax::{Block, BlockKind, Directive, Event, Quoting, Reader, parse};
use proptest::prelude::*;

use crate::texts;

#[test]
fn everything_has_its_place() {
    let text = "# é first\nhttp { # second\n  'add_header' X-É  \"a\\\"b\\n\";\n\n  types {\n\ttext/html html 'htm';\n  }\n}\n";
    let config = parse(text).unwrap();
    let [http] = config.directives() else {
        panic!("{config:?}");
    };
    let at = |directive: &Directive<'_>| directive.position().to_string();
    assert_eq!(at(http), "line 2, column 1");
    let [header, types] = http.directives() else {
        panic!("{http:?}");
    };
    assert_eq!(header.name(), "add_header");
    assert_eq!(header.name_word().raw(), "'add_header'");
    assert_eq!(header.name_word().quoting(), Quoting::Single);
    assert_eq!(at(header), "line 3, column 3");
    let [name, value] = header.arguments() else {
        panic!("{header:?}");
    };
    assert_eq!(
        (name.raw(), name.value(), name.quoting()),
        ("X-É", "X-É", Quoting::Bare)
    );
    assert_eq!(value.raw(), "\"a\\\"b\\n\"");
    assert_eq!(value.value(), "a\"b\n");
    assert_eq!(value.quoting(), Quoting::Double);
    assert_eq!(value.position().to_string(), "line 3, column 21");
    let Some(Block::Values(entries)) = types.block() else {
        panic!("{types:?}");
    };
    let words: Vec<_> = entries[0].words().iter().map(|word| word.value()).collect();
    assert_eq!(words, ["text/html", "html", "htm"]);
    assert_eq!(
        entries[0].words()[0].position().to_string(),
        "line 6, column 2"
    );
    let comments: Vec<_> = config
        .comments()
        .iter()
        .map(|comment| (comment.text(), comment.position().to_string()))
        .collect();
    assert_eq!(
        comments,
        [
            ("# é first", "line 1, column 1".to_owned()),
            ("# second", "line 2, column 8".to_owned())
        ]
    );
}

#[test]
fn an_error_says_where_and_what() {
    for (text, place, words) in [
        ("a b;\n  ;", (2, 3), "begins with its name"),
        ("{ }", (1, 1), "begins with its name"),
        ("a { b }", (1, 7), "before '}' ends with ';'"),
        ("a;\n}", (2, 1), "closes a block"),
        ("a {\n  b { c;\n }\n", (1, 3), "that is opened is closed"),
        ("é é;\na\n b", (2, 1), "ends with ';' or has a block"),
        ("a \"b;\n}", (1, 3), "a quote that is opened"),
        ("é 'b'c;", (1, 6), "after a closing quote"),
        ("map $a $b { c { } }", (1, 15), "no blocks in it"),
        (
            "a_by_lua_block {\n '}' ",
            (1, 16),
            "that is opened is closed",
        ),
    ] {
        let error = parse(text).unwrap_err();
        let position = error.position;
        assert_eq!((position.line, position.column), place, "{text:?}: {error}");
        assert!(error.to_string().contains(words), "{text:?}: {error}");
    }
}

#[test]
fn lua_is_not_configuration() {
    let code = r#"
        local t = { a = "}", b = '{ \' }', c = [[ } ]], d = [==[ ]] } ]==] } -- }
        --[[ } ]] --[=[ ]] } ]=] if t[1] then ngx.say("{") end
    "#;
    let text = format!("content_by_lua_block {{{code}}} a;");
    let config = parse(&text).unwrap();
    let [lua, after] = config.directives() else {
        panic!("{config:?}");
    };
    assert_eq!(lua.block(), Some(&Block::Lua(code)));
    assert_eq!(after.name(), "a");
    assert_eq!(parse(&config.to_string()), Ok(config.clone()));
    for open in ["\"", "'", "[[", "[=[", "{", "--[[", "-- x }"] {
        assert!(
            parse(&format!("a_by_lua_block {{ {open} }}")).is_err(),
            "{open}"
        );
    }
}

#[test]
fn a_reader_knows_where_it_is() {
    let text = "a { types { b c; } }";
    let mut reader = Reader::new(text.as_bytes());
    let mut seen = Vec::new();
    loop {
        match reader.next().unwrap() {
            Event::Done => break,
            Event::Open { kind, .. } => seen.push((kind, reader.depth())),
            Event::End { .. } => seen.push((reader.block(), reader.depth())),
            _ => {}
        }
    }
    assert_eq!(
        seen,
        [
            (BlockKind::Directives, 1),
            (BlockKind::Values, 2),
            (BlockKind::Values, 2)
        ]
    );
}

/// A tree is text that is the same tree; so is what it says a part of.
fn goes_round(text: &str) -> Result<(), TestCaseError> {
    let Ok(config) = parse(text) else {
        return Ok(());
    };
    let written = config.to_string();
    let again = parse(&written);
    prop_assert_eq!(
        again.as_ref().map(|config| config.directives()),
        Ok(config.directives()),
        "{}",
        written
    );
    for directive in config.directives() {
        let written = directive.to_string();
        let alone = parse(&written).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(alone.directives(), std::slice::from_ref(directive));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_soup_goes_round(text in texts::soup()) {
        goes_round(&text)?;
        goes_round(&format!("{text};"))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn blocks_go_round(text in texts::locations(), mistyped in texts::mistyped(texts::locations())) {
        prop_assert!(parse(&text).is_ok(), "{:?} in {:?}", parse(&text), text);
        goes_round(&text)?;
        goes_round(&mistyped)?;
    }
}

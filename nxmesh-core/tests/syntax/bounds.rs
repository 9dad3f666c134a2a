//! However hostile a text is, reading it is bounded.

use nxmesh_core::syntax::{MAX_BYTES, MAX_DEPTH, MAX_WORDS, SyntaxRule, parse};

fn rule(text: &str) -> SyntaxRule {
    parse(text).unwrap_err().rule
}

#[test]
fn depth_words_and_bytes_are_bounded() {
    let nested = |depth| format!("{}{}", "a{".repeat(depth), "}".repeat(depth));
    let deepest = nested(MAX_DEPTH);
    let config = parse(&deepest).unwrap();
    assert_eq!(parse(&config.to_string()), Ok(config));
    assert_eq!(rule(&nested(MAX_DEPTH + 1)), SyntaxRule::TooDeep);
    assert_eq!(rule(&"a{".repeat(MAX_BYTES / 2)), SyntaxRule::TooDeep);

    assert!(parse(&"a;".repeat(MAX_WORDS)).is_ok());
    assert_eq!(rule(&"a;".repeat(MAX_WORDS + 1)), SyntaxRule::TooManyWords);
    assert_eq!(rule(&" ".repeat(MAX_BYTES + 1)), SyntaxRule::TooManyBytes);
}

#[test]
fn long_texts_of_every_kind_are_read_to_their_end() {
    for part in [
        " ", "\n", "#\n", "a\n", "a ", "a;", "a b c;", "\"\" ", "'';", "\\a", "$", "${", "a{}",
        "\u{e9} ", "}", "#", "\"", "'", "\"a\\\"", "map{a;}",
    ] {
        let text = part.repeat(MAX_BYTES / 16 / part.len());
        let parsed = parse(&text).map(|config| config.directives().len());
        // "#" makes one comment of them all.
        assert_eq!(
            parsed.is_ok(),
            parse(part).is_ok() && part != "#",
            "{part:?}"
        );
    }
    for (part, closed) in [
        ("[", false),
        ("[=", false),
        ("[==[", false),
        ("]=", true),
        ("]]", true),
        ("-", false),
        ("--[[]]", true),
        ("\"", true),
        ("{", false),
        ("{}", true),
    ] {
        let code = part.repeat(MAX_BYTES / 16 / part.len());
        let parsed = parse(&format!("a_by_lua_block {{{code}}}")).map(drop);
        assert_eq!(parsed.is_ok(), closed, "{part:?}");
        // A bracket that would be closed by a long row only.
        let code = format!("[{}[{code}", "=".repeat(1000));
        assert!(parse(&format!("a_by_lua_block {{{code}}}")).is_err());
    }
}

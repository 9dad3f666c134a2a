//! What is well-formed.

use nxmesh_core::{
    check,
    document::parse_value,
    snippet::{MAX_SNIPPET_BYTES, SnippetRule, SnippetText},
    syntax::SyntaxRule,
};
use serde_json::json;

#[test]
fn what_could_leave_its_block_is_refused() {
    for (text, rule) in [
        ("gzip on; }", SyntaxRule::NothingToClose),
        ("} server { listen 1;", SyntaxRule::NothingToClose),
        ("if ($a) { gzip on;", SyntaxRule::BlockNotClosed),
        ("gzip on", SyntaxRule::NotTerminated),
        ("gzip on; gzip", SyntaxRule::NotTerminated),
        ("return 200 \"a", SyntaxRule::QuoteNotClosed),
        ("return 200 'a;", SyntaxRule::QuoteNotClosed),
        ("return 200 'a\\';", SyntaxRule::QuoteNotClosed),
        ("gzip on\\;", SyntaxRule::NotTerminated),
        ("gzip on #;", SyntaxRule::NotTerminated),
        ("gzip on; {", SyntaxRule::NoName),
        (";", SyntaxRule::NoName),
    ] {
        let error = SnippetText::parse(text).unwrap_err();
        assert_eq!(error.rule, SnippetRule::Syntax(rule), "{text:?}: {error}");
    }
}

#[test]
fn what_is_not_plain_text_is_refused() {
    for (text, rule) in [
        ("", SnippetRule::Empty),
        ("# nothing but this", SnippetRule::Empty),
        ("return 200 \u{0};", SnippetRule::Control),
        ("return 200 \u{1b}[m;", SnippetRule::Control),
        ("return 200 \u{85};", SnippetRule::Control),
    ] {
        assert_eq!(SnippetText::parse(text).unwrap_err().rule, rule, "{text:?}");
    }
    let long = format!("return 200 a;{}", " ".repeat(MAX_SNIPPET_BYTES));
    assert_eq!(
        SnippetText::parse(&long).unwrap_err().rule,
        SnippetRule::TooLong
    );
    assert!(SnippetText::parse(&long[..MAX_SNIPPET_BYTES]).is_ok());
    // nginx reads such a comment at the end of a file only.
    let comment = format!("gzip on;#{}", "x".repeat(4095));
    assert_eq!(
        SnippetText::parse(&comment).unwrap_err().rule,
        SnippetRule::Syntax(SyntaxRule::CommentTooLong)
    );
}

/// What many documents may name each of them has.
#[test]
fn a_snippet_that_goes_into_others_is_shorter() {
    for (context, most) in [("http", MAX_SNIPPET_BYTES), ("location", 64 << 10)] {
        for (length, problems) in [(most, 0), (most + 1, 1)] {
            let text = format!("etag off;{}", " ".repeat(length - "etag off;".len()));
            let document = json!({
                "kind": "Snippet", "metadata": { "name": "long" },
                "spec": { "context": context, "directives": text },
            });
            let found = match parse_value("test", document) {
                Ok(resource) => check::document(&resource).len(),
                Err(_) => 1,
            };
            assert_eq!(found, problems, "{context}: {length}");
        }
    }
}

#[test]
fn the_text_is_kept_and_errors_have_their_place() {
    let text = "# why\r\n\tgzip on; # ünïcödé\n\nif ($a) { return 200 '}'; }";
    let snippet: SnippetText = serde_json::from_value(json!(text)).unwrap();
    assert_eq!(snippet.as_str(), text);
    assert_eq!(serde_json::to_value(&snippet).unwrap(), json!(text));
    let config = snippet.config();
    let names: Vec<_> = config.directives().iter().map(|one| one.name()).collect();
    assert_eq!(names, ["gzip", "if"]);

    let refused = serde_json::from_value::<SnippetText>(json!("gzip on;\n\n  } SECRET"));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "line 3, column 3: a '}' closes a block that was opened before, for example gzip on;"
    );
    let refused = SnippetText::parse("é\n é\u{7}").unwrap_err();
    assert_eq!(refused.position.to_string(), "line 2, column 3");
}

use super::*;

/// What a file is put together from.
#[derive(Clone, Copy)]
enum Part {
    /// Text of a template.
    T(&'static str),
    /// A word.
    W(&'static str),
    /// A snippet.
    S(&'static str),
}
use Part::{S, T, W};

fn verified(parts: &[Part]) -> Result<(), String> {
    verified_for(parts, NginxVersion::default())
}

fn verified_for(parts: &[Part], nginx: NginxVersion) -> Result<(), String> {
    let mut text = String::new();
    let mut values = Vec::new();
    for part in parts {
        let start = text.len();
        let (said, kind) = match *part {
            T(said) => (said, None),
            W(said) => (said, Some(ValueKind::Word)),
            S(said) => (said, Some(ValueKind::Snippet)),
        };
        text += said;
        let end = text.len();
        values.extend(kind.map(|kind| Value { start, end, kind }));
    }
    verify(text.as_bytes(), &values, nginx)
        .map_err(|mismatch| format!("{}: {}", mismatch.position, mismatch.reason))
}

#[test]
fn what_templates_say_is_verified() {
    for parts in [
        &[T("# a comment\nlisten "), W("80"), T(";")][..],
        &[T("return 200 "), W("\"; } evil on; {\""), T(";")],
        &[T("add_header "), W("X-A"), T(" "), W("\"\""), T(" always;")],
        &[
            T("proxy_pass "),
            W("http"),
            T("://"),
            W("nxmesh_up_1"),
            T(";"),
        ],
        &[
            T("server a weight="),
            W("5"),
            T(" max_fails="),
            W("1"),
            T(";"),
        ],
        &[T("return 308 https://$host"), W("8443"), T("$request_uri;")],
        &[T("log_format a '"), W("plain"), T(" b';")],
        &[T("location "), W("\"/a b\""), T("{"), T("}")],
        &[T("if ($a = "), W("\"b c\""), T(") { }")],
        &[T("map $a $b { "), W("c"), T(" "), W("\"d e\""), T("; }")],
        &[T("geo $b { "), W("10.0.0.0/8"), T(" 1; default 0; }")],
        &[T("server {\n"), S("gzip on;\n# end\n"), T("}")],
        &[S("a;\n"), S("b { c; }\n")],
        &[T("server {"), S("\n"), T("}")],
        &[],
    ] {
        assert_eq!(verified(parts), Ok(()));
    }
}

#[test]
fn what_they_do_not_say_is_refused() {
    for (parts, reason) in [
        // Quoting is broken.
        (
            &[T("return 200 "), W("x; evil on"), T(";")][..],
            "not one word",
        ),
        (&[T("return 200 "), W("x;"), T(";")], "not one word"),
        (&[T("return 200 "), W("x y"), T(";")], "not one word"),
        (&[T("return 200 "), W("x{}"), T(";")], "not one word"),
        (&[T("return 200 "), W("}"), T(";")], "before '}' ends"),
        (&[T("return 200 "), W(";"), T(";")], "not a word"),
        (&[T("return 200 "), W("#x"), T(";")], "not a word"),
        (&[T("return 200 "), W(""), T(";")], "not a word"),
        (&[T("return 200 "), W(" "), T(";")], "not a word"),
        (
            &[T("return 200 "), W("\"x"), T(";\nb;")],
            "a quote that is opened",
        ),
        (&[T("return 200 "), W("\"x"), T(";\nb \";")], "needs quotes"),
        (&[T("return 200 "), W("x\\"), T(";\nb;")], "needs quotes"),
        (
            &[T("return 200 "), W("\"x\\\""), T("; a \";")],
            "needs quotes",
        ),
        (
            &[T("return 200 "), W("\"x\"y"), T(";")],
            "after a closing quote",
        ),
        (
            &[T("return 200 "), W("\"x\"\""), T(";")],
            "after a closing quote",
        ),
        (&[T("return 200 "), W("x$"), T("{;")], "needs quotes"),
        // Templates split what they should leave whole.
        (
            &[T("return 200 foo-"), W("\"; evil on; x\""), T(";")],
            "not one word",
        ),
        (&[T("return 200 foo-"), W("\"x\""), T(";")], "needs quotes"),
        (
            &[T("return 200 "), W("\"x\""), T("-foo;")],
            "after a closing quote",
        ),
        (
            &[T("return 200 \""), W("\"x\""), T("\";")],
            "after a closing quote",
        ),
        (&[T("return 200 \""), W("x y"), T("\";")], "needs quotes"),
        (
            &[T("return 200 $"), W("host"), T(";")],
            "name of a variable",
        ),
        (
            &[T("return 200 \"${"), W("host"), T("}\";")],
            "name of a variable",
        ),
        (
            &[T("return 200 \"\\"), W("n"), T("\";")],
            "behind a backslash",
        ),
        // Values where no argument is.
        (&[T("# "), W("x"), T("\na;")], "not a word"),
        (&[W("gzip"), T(" on;")], "name of a directive"),
        (&[T("x_"), W("gzip"), T(" on;")], "name of a directive"),
        (&[T("a { "), W("gzip"), T(" on; }")], "name of a directive"),
        (
            &[T("map $a $b { "), W("include"), T(" "), W("x"), T("; }")],
            "include a file",
        ),
        (
            &[T("map $a $b { "), W("\"include\""), T(" x; }")],
            "include a file",
        ),
        (&[T("a_by_lua_block { "), W("x"), T(" }")], "not a word"),
        (&[T("a;"), W("x")], "name of a directive"),
        (&[T("a;"), W("")], "not a word"),
        // Snippets that leave their place.
        (&[T("a { "), S("b; }"), T(" c { }")], "leaves its place"),
        (&[T("a { "), S("b; } c {"), T(" }")], "leaves its place"),
        (&[T("a { "), S("b {"), T(" } }")], "leaves something open"),
        (&[T("a { "), S("b"), T("; }")], "leaves something open"),
        (&[T("a { "), S("# b"), T("; }\n}")], "leaves its place"),
        (&[T("a { "), S("b \""), T("\"; }")], "leaves its place"),
        (&[T("a "), S("b;"), T(" c;")], "where no directive does"),
        (&[T("a"), S("b;"), T(" c;")], "where no directive does"),
        (
            &[T("map $a $b { "), S("include /x;"), T(" }")],
            "where no directive does",
        ),
        // Files that are none.
        (&[T("server { ")], "that is opened is closed"),
        (&[T("server { } }")], "closes a block"),
        (&[T("listen 80")], "ends with ';'"),
    ] {
        let refused = verified(parts).expect_err(reason);
        assert!(refused.contains(reason), "{reason}: {refused}");
    }
}

#[test]
fn snippets_that_are_harmful_together_are_refused() {
    let parts = [
        T("location / {\n"),
        S("rewrite ^/(.*)$ /a?b=c;\n"),
        S("set $c $1;\n"),
        T("}"),
    ];
    let refused = verified(&parts).unwrap_err();
    assert!(refused.starts_with("line 3, column 8: "), "{refused}");
    let fixed = "1.30.1".parse().unwrap();
    assert_eq!(verified_for(&parts, fixed), Ok(()));
    let quoted = [S("'rewrite' ^/(.*)$ /a?b=c;\n\"set\" $c $1;\n")];
    assert!(verified(&quoted).is_err());
}

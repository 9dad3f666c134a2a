//! What is configuration and what is not: nginx and the parser agree.

use nxmesh_core::syntax::parse;

use crate::{
    nginx::{Nginx, Verdict},
    texts,
};

/// A whole configuration with `text` in a place that takes it.
fn in_types(text: &str) -> String {
    // Nothing is too long for the hash.
    format!(
        "events {{ }}\nhttp {{\ntypes_hash_bucket_size 16384;\ntypes_hash_max_size 16384;\ntypes {{\n{text}\n}}\n}}\n"
    )
}

fn in_server(text: &str) -> String {
    format!(
        "events {{ }}\nhttp {{ types_hash_bucket_size 16384;\n server {{ listen unix:sock;\n{text}\n}}\n}}\n"
    )
}

/// Panics where the two differ. Where nginx goes by the meaning of the text it
/// says nothing about the rest.
#[track_caller]
fn compare(nginx: &Nginx, text: &str) -> bool {
    let ours = parse(text);
    match nginx.test(text) {
        Verdict::Accepted => assert!(
            ours.is_ok(),
            "nginx takes it, but {ours:?}:\n{text}\n{text:?}"
        ),
        Verdict::Syntax(said) => assert!(
            ours.is_err(),
            "{said}, but the parser takes it:\n{text}\n{text:?}"
        ),
        Verdict::Meaning(said) => {
            eprintln!("not compared: {said}");
            return false;
        }
    }
    true
}

/// Compares all, and sees that enough of them were compared.
fn compare_all(nginx: &Nginx, texts: impl IntoIterator<Item = String>, at_least: usize) {
    let compared = texts
        .into_iter()
        .filter(|text| compare(nginx, text))
        .count();
    assert!(compared >= at_least, "only {compared} were compared");
}

#[test]
fn on_any_text_in_a_block_of_values() {
    let Some(nginx) = Nginx::find() else { return };
    let texts = texts::sample(400, texts::soup());
    compare_all(&nginx, texts.iter().map(|text| in_types(text)), 300);
    // At the end of the file, too.
    compare_all(
        &nginx,
        texts
            .iter()
            .map(|text| format!("events {{ }}\nhttp {{ types {{ {text}")),
        300,
    );
}

#[test]
fn on_blocks_in_blocks() {
    let Some(nginx) = Nginx::find() else { return };
    let texts = texts::sample(150, texts::locations());
    compare_all(&nginx, texts.iter().map(|text| in_server(text)), 100);
}

#[test]
fn on_blocks_with_a_mistake() {
    let Some(nginx) = Nginx::find() else { return };
    let texts = texts::sample(400, texts::mistyped(texts::locations()));
    compare_all(&nginx, texts.iter().map(|text| in_server(text)), 200);
}

#[test]
fn on_what_is_told_apart_by_one_character() {
    let Some(nginx) = Nginx::find() else { return };
    let mut compared = 0;
    for text in [
        "",
        ";",
        "a",
        "a;",
        "a b;",
        "a;b",
        "a};",
        "}a;",
        "a }",
        "a {",
        "{",
        "{}",
        "a{};",
        "#",
        "#a",
        "a#;",
        "a #;",
        "a # b\n;",
        "\"a\";",
        "\"a\"b;",
        "\"a\")b;",
        "\"a\"#;",
        "\"a\"{",
        "\"a\";b;",
        "\"a",
        "'a\"';",
        "'a';",
        "\"a\\\";",
        "\"a\\\\\";",
        "a\\;",
        "a\\;;",
        "a\\ b;",
        "a\\{;",
        "a${;",
        "a${b};",
        "a$ {;",
        "${{{;",
        "a$\\{;",
        "\\",
        "\\;",
        "$",
        "$;",
        "${",
        "${;",
        "a\r;",
        "a\u{b};",
        "a\u{0};",
        "\u{0}",
        "\u{feff}a;",
        "a\\\u{e9};",
        "\"\";",
        "\"\"\"\";",
        "\"\" \"\";",
        "a\"b\";",
        "a'b;",
        "'a'b",
        "a \"b\" ;",
        "a 'b'\t;",
        "a 'b'\r;",
        "a 'b'\n;",
    ] {
        for whole in [
            in_types(text),
            in_types(&format!("{text};")),
            format!("events {{ }} http {{ types {{ {text}"),
            format!("events {{ }} {text}"),
        ] {
            compared += usize::from(compare(&nginx, &whole));
        }
    }
    assert!(compared > 150, "only {compared} were compared");
}

#[test]
fn on_how_long_words_and_comments_may_be() {
    let Some(nginx) = Nginx::find() else { return };
    let mut texts = Vec::new();
    for length in 4090..=4098 {
        let word = "x".repeat(length);
        for before in [
            "",
            "# a line that moves what follows in nginx's buffer\na b;",
        ] {
            for end in [";", " ;", "  ;", "\n;", " b;", "{", " {", "#;", "", " "] {
                for quote in ["", "\"", "'"] {
                    texts.push(format!("{before}{quote}{word}{quote}{end}"));
                }
            }
            for end in ["", "\n", "\r\n", "#\na b;"] {
                texts.push(format!("{before}#{word}{end}"));
                texts.push(format!("{before}a #{word}{end};"));
            }
        }
        texts.push(format!("\"{}\\\"\";", &word[2..]));
        texts.push(format!("\"{}\\\"\" ;", &word[2..]));
        texts.push(format!("{}\\;;", &word[2..]));
        texts.push(format!("{}${{{{;", &word[3..]));
    }
    for (index, text) in texts.iter().enumerate() {
        assert!(compare(&nginx, &in_types(text)), "{index}");
        compare(&nginx, &format!("events {{ }}\n{text}"));
    }
}

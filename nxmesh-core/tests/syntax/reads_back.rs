//! What a word means: nginx and the parser agree, byte for byte.

use std::fmt::Write as _;

use nxmesh_core::syntax::{Block, parse};

use crate::{nginx::Nginx, texts};

/// Whether nginx would take `text` for one word.
fn is_one_word(text: &str) -> bool {
    parse(&format!("a {text} b;")).is_ok_and(|config| {
        let [directive] = config.directives() else {
            return false;
        };
        directive.arguments().len() == 2 && directive.arguments()[0].raw() == text
    })
}

#[test]
fn words_are_read_as_nginx_reads_them() {
    let Some(nginx) = Nginx::find() else { return };
    let special = [
        r#""""#,
        "''",
        r#""a\"b""#,
        r"'a\'b'",
        r"'a\\b'",
        r"'a\tb\rc\nd\xe'",
        r"a\tb\rc\nd\xe",
        r"\\",
        r"\'",
        r#"\""#,
        "a\"b'c",
        "a}b#c",
        "${{{",
        "a${b",
        "\\;",
        "\\ ",
        "a\\{b",
        "\\\n",
        "\"\n\"",
        "'{;}#'",
        "\"\\$\\{\"",
        "é\\é",
        "\u{1f980}",
        "a\u{0}b",
        "\u{b}\u{c}\u{7f}\u{85}",
        "\"\\\u{0}\"",
    ];
    let words: Vec<String> = special
        .iter()
        .map(|word| (*word).to_owned())
        .chain(
            texts::sample(4000, texts::soup())
                .into_iter()
                .filter(|text| is_one_word(text))
                .take(250),
        )
        .collect();
    assert!(words.iter().all(|word| is_one_word(word)));
    assert!(words.len() > 200, "only {} words", words.len());

    // The value of a `geo` variable is taken as it is, with `$` and all.
    let mut text = String::from(
        "events { }\n\
         http {\n\
         variables_hash_max_size 8192;\n\
         access_log off;\n\
         client_body_temp_path .;\n\
         proxy_temp_path .;\n\
         fastcgi_temp_path .;\n\
         uwsgi_temp_path .;\n\
         scgi_temp_path .;\n",
    );
    for (number, word) in words.iter().enumerate() {
        writeln!(text, "geo $word{number} {{ default {word}; }}").unwrap();
    }
    writeln!(text, "server {{ listen unix:{};", nginx.socket().display()).unwrap();
    for number in 0..words.len() {
        writeln!(text, "location = /{number} {{ return 200 $word{number}; }}").unwrap();
    }
    text += "} }\n";

    let parsed = parse(&text).unwrap_or_else(|error| panic!("{error}"));
    let values: Vec<&str> = parsed.directives()[1]
        .directives()
        .iter()
        .filter_map(|directive| match directive.block() {
            Some(Block::Values(entries)) => Some(entries[0].words()[1].value()),
            _ => None,
        })
        .collect();
    assert_eq!(values.len(), words.len());

    let nginx = nginx.start(&text);
    for (number, (word, value)) in words.iter().zip(values).enumerate() {
        let body = nginx.get(&format!("/{number}"));
        assert_eq!(String::from_utf8_lossy(&body), value, "written {word:?}");
        assert_eq!(body, value.as_bytes(), "written {word:?}");
    }
}

//! No text changes the structure: a real nginx is asked for every one of them,
//! from every field, and gives it back byte for byte.

use std::fs;

use nxmesh_core::{
    document::parse_value,
    model::{Location, Resource, ResourceSet},
    testkit::renderer::hostile::TEXTS,
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    echo, fastcgi_server,
    nginx::{self, encoded, get_with},
};

/// Hostile texts, and random ones that are rich in what nginx looks for.
fn texts() -> Vec<String> {
    let special = prop::sample::select(vec![
        "\"",
        "'",
        "\\",
        ";",
        "{",
        "}",
        "#",
        "$",
        " ",
        "${",
        "\\n",
        "%",
        "~",
        "=",
        "*",
        "@",
        "?",
        "[",
        "(",
        "|",
        ":",
        ",",
        "<",
        "&",
        "é",
        "漢",
        "\u{1f980}",
        "\u{202e}",
        "a",
        "Z",
        "0",
    ]);
    let strategy = prop_oneof![
        prop::collection::vec(special, 1..24).prop_map(|parts| parts.concat()),
        "[^\\p{Cc}]{1,60}",
        "[\\x20-\\x7e]{1,60}",
    ];
    let mut runner = TestRunner::default();
    let random = (0..150).map(|_| strategy.new_tree(&mut runner).expect("a text").current());
    let long = [
        "$".repeat(230),
        "\\".repeat(1990),
        "é\"".repeat(990),
        "x".repeat(3990),
    ];
    let lines = [
        "two\nlines, a\ttab and \"$5\"\n".to_owned(),
        "\n".repeat(1990),
    ];
    // Each once: two of the same would write over each other's files.
    let mut seen = std::collections::BTreeSet::new();
    TEXTS
        .into_iter()
        .map(str::to_owned)
        .chain(long)
        .chain(lines)
        .chain(random)
        .filter(|text| seen.insert(text.clone()))
        .collect()
}

/// A location and what is expected of it.
struct Case {
    location: Value,
    request: Vec<u8>,
    check: Check,
}

enum Check {
    Body(String),
    Header(&'static str, String),
    /// A line of what the upstream saw.
    Seen(String),
    /// The decoded path that the upstream saw.
    Path(String),
    /// The route that is found with this in `X-Sent`.
    Sent(String),
}

fn case(location: Value, request: impl Into<Vec<u8>>, check: Check) -> Case {
    Case {
        location,
        request: request.into(),
        check,
    }
}

/// Whether nginx leaves a path as it is before it compares it (RFC 3986, section 5.2.4).
fn is_normal(path: &str) -> bool {
    !format!("/{path}").contains("//") && !path.split('/').any(|part| part == "." || part == "..")
}

fn pattern(text: &str) -> String {
    let escape = |c: char| {
        if c.is_ascii_punctuation() {
            format!("\\{c}")
        } else {
            c.to_string()
        }
    };
    text.chars().map(escape).collect()
}

/// Every field with `text` in it; `files` is a folder for those that need one.
fn cases(number: usize, text: &str, files: &std::path::Path) -> Vec<(&'static str, Case)> {
    let exact = |kind: &str, action: Value| {
        let mut location = json!({ "path": format!("/{kind}/{number}"), "match": "exact" });
        for (key, value) in action.as_object().expect("an object") {
            location[key] = value.clone();
        }
        location
    };
    let url = |kind: &str| format!("/{kind}/{number}");
    let respond = |body: &str| json!({ "status": 200, "body": body });
    let mut cases = vec![
        (
            "body",
            case(
                exact("body", json!({ "respond": respond(text) })),
                url("body"),
                Check::Body(text.to_owned()),
            ),
        ),
        (
            "error body",
            case(
                exact(
                    "error",
                    json!({ "respond": { "status": 503, "body": text } }),
                ),
                url("error"),
                Check::Body(text.to_owned()),
            ),
        ),
        (
            "response header",
            case(
                exact(
                    "header",
                    json!({
                        "respond": respond("x"), "response_headers": [{ "name": "X-Text", "value": text }],
                    }),
                ),
                url("header"),
                Check::Header("X-Text", text.to_owned()),
            ),
        ),
        (
            "content type",
            case(
                exact(
                    "type",
                    json!({ "respond": { "status": 200, "content_type": text } }),
                ),
                url("type"),
                Check::Header("Content-Type", text.to_owned()),
            ),
        ),
        (
            "redirect",
            case(
                exact(
                    "redirect",
                    json!({ "redirect": { "to": format!("/{text}") } }),
                ),
                url("redirect"),
                Check::Header("Location", format!("/{text}")),
            ),
        ),
        (
            "redirect to a URL",
            case(
                exact(
                    "away",
                    json!({
                        "redirect": { "to": format!("https://a.example/{text}"), "append_request_uri": true },
                    }),
                ),
                url("away"),
                Check::Header(
                    "Location",
                    format!("https://a.example/{text}{}", url("away")),
                ),
            ),
        ),
        (
            "request header",
            case(
                exact(
                    "proxy",
                    json!({
                        "proxy": { "upstream": "echo", "request_headers": [{ "name": "X-Text", "value": text }] },
                    }),
                ),
                url("proxy"),
                Check::Seen(format!("X-Text: {text}")),
            ),
        ),
        (
            "appended to a request header",
            case(
                exact(
                    "append",
                    json!({
                        "proxy": { "upstream": "echo", "request_headers": [{ "name": "X-Text", "append": text }] },
                    }),
                ),
                url("append"),
                Check::Seen(format!("X-Text: {text}")),
            ),
        ),
        (
            "parameter",
            case(
                exact(
                    "param",
                    json!({
                        "fastcgi": {
                            "upstream": "cgi", "root": "/srv", "params": [{ "name": "X_TEXT", "value": text }],
                        },
                    }),
                ),
                url("param"),
                Check::Seen(format!("X_TEXT={text}")),
            ),
        ),
        (
            "rewritten path",
            case(
                exact(
                    "rewrite",
                    json!({
                        "proxy": {
                            "upstream": "echo", "rewrite": { "pattern": "^/rewrite/", "to": format!("/{text}") },
                        },
                    }),
                ),
                url("rewrite"),
                Check::Path(format!("/{text}")),
            ),
        ),
        (
            "route",
            case(
                json!({
                    "path": format!("/route/{number}"), "match": "exact", "respond": respond("none"),
                    "routes": [{
                        "when": { "headers": [{ "name": "X-Sent", "value": text }] }, "respond": respond("found"),
                    }],
                }),
                url("route"),
                Check::Sent(text.to_owned()),
            ),
        ),
    ];
    let below = |kind: &str, path_match: &str| {
        let path = format!("/{kind}/{number}/{text}");
        let body = format!("{kind} {number}");
        let location = json!({ "path": path, "match": path_match, "respond": respond(&body) });
        case(location, encoded(&path), Check::Body(body))
    };
    if is_normal(text) {
        cases.push(("exact path", below("exact", "exact")));
        cases.push(("prefix", below("prefix", "prefix")));
        cases.push(("priority prefix", below("priority", "prefix_priority")));
        let path = format!("/pattern/{number}/{text}");
        for (kind, regex) in [("pattern", "regex"), ("any case", "regex_ignore_case")] {
            let body = format!("{kind} {number}");
            let path = path.replace("pattern", kind);
            let location = json!({
                "path": format!("^{}$", pattern(&path)), "match": regex, "respond": respond(&body),
            });
            cases.push((kind, case(location, encoded(&path), Check::Body(body))));
        }
    }
    if !text.contains('/') && text.len() <= 200 && is_normal(text) {
        let root = files.join(text);
        for (kind, folder, file) in [
            ("root", root.join(format!("root/{number}")), "file"),
            ("index", files.join(format!("index/{number}")), text),
            ("alias", root.join("alias"), "file"),
            ("tried", files.join(format!("tried/{number}")), text),
        ] {
            fs::create_dir_all(&folder).expect("make a folder");
            fs::write(folder.join(file), format!("{kind} {number}")).expect("write a file");
        }
        let served = |kind: &str, spec: Value, request: String| {
            let location = json!({ "path": format!("/{kind}/{number}/"), "static": spec });
            case(location, request, Check::Body(format!("{kind} {number}")))
        };
        cases.push((
            "root",
            served(
                "root",
                json!({ "root": root }),
                format!("/root/{number}/file"),
            ),
        ));
        let alias = json!({ "alias": format!("{}/alias/", root.display()) });
        cases.push((
            "alias",
            served("alias", alias, format!("/alias/{number}/file")),
        ));
        let tried = json!({
            "root": files, "try": [{ "path": format!("/tried/{number}/{text}") }],
        });
        cases.push((
            "tried path",
            served("tried", tried, format!("/tried/{number}/")),
        ));
        cases.push((
            "index",
            served(
                "index",
                json!({ "root": files, "index": [text] }),
                format!("/index/{number}/"),
            ),
        ));
    }
    cases
}

fn resource(document: Value) -> Resource {
    parse_value("test", document).unwrap_or_else(|problem| panic!("{problem}"))
}

/// What `path` is with its encoded bytes as they are.
fn decoded(path: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = path;
    while let [first, others @ ..] = rest {
        let hex = others.get(..2).filter(|_| *first == b'%');
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &others[2..] } else { others };
    }
    bytes
}

#[test]
fn every_text_in_every_field() {
    let Some(binary) = nginx::binary() else {
        return;
    };
    let echo_port = echo::start();
    let cgi_port = fastcgi_server::start();
    let files = TempDir::new().expect("make a temporary folder");
    let mut cases: Vec<_> = texts()
        .iter()
        .enumerate()
        .flat_map(|(number, text)| cases(number, text, files.path()))
        .collect();
    // What the model refuses never gets here.
    cases.retain(|(_, case)| serde_json::from_value::<Location>(case.location.clone()).is_ok());
    for kind in [
        "body",
        "error body",
        "response header",
        "request header",
        "exact path",
        "prefix",
        "priority prefix",
        "pattern",
        "any case",
        "root",
        "index",
        "redirect",
        "redirect to a URL",
        "appended to a request header",
        "parameter",
        "rewritten path",
        "route",
        "alias",
        "tried path",
    ] {
        let count = cases.iter().filter(|(named, _)| *named == kind).count();
        assert!(count >= 25, "only {count} texts for {kind}");
    }
    let port = nginx::free_port();
    let locations: Vec<_> = cases.iter().map(|(_, case)| &case.location).collect();
    let set = ResourceSet::from_iter([
        resource(json!({
            "kind": "VirtualHost", "metadata": { "name": "texts" },
            "spec": {
                "server_names": ["texts.example.com"],
                "listen": [{ "port": port, "address": "127.0.0.1" }],
                "locations": locations,
            },
        })),
        resource(json!({
            "kind": "Upstream", "metadata": { "name": "echo" },
            "spec": { "servers": [{ "address": format!("127.0.0.1:{echo_port}") }] },
        })),
        resource(json!({
            "kind": "Upstream", "metadata": { "name": "cgi" },
            "spec": { "servers": [{ "address": format!("127.0.0.1:{cgi_port}") }] },
        })),
    ]);
    let nginx = nginx::Staged::new(binary, &set).start();
    let found = "found".to_owned();
    for (kind, case) in &cases {
        let decoded;
        let sent = match &case.check {
            Check::Sent(text) => format!("X-Sent: {text}\r\n"),
            _ => String::new(),
        };
        let answer = get_with(port, "texts.example.com", &case.request, &sent);
        let (got, expected) = match &case.check {
            Check::Sent(_) => (Some(&answer.body[..]), &found),
            Check::Path(path) => {
                let line = answer.body.split(|byte| *byte == b'\n').next();
                let line = line.and_then(|line| line.strip_prefix(b"GET "));
                let sent = line.and_then(|line| line.strip_suffix(b" HTTP/1.1"));
                decoded = sent.map(self::decoded).unwrap_or_default();
                (Some(&decoded[..]), path)
            }
            Check::Body(text) => (Some(&answer.body[..]), text),
            Check::Header(name, text) => (answer.header(name), text),
            Check::Seen(text) => {
                let mut lines = answer.body.split(|byte| *byte == b'\n');
                (
                    lines.find(|line| line.starts_with(b"X-Text:") || line.starts_with(b"X_TEXT=")),
                    text,
                )
            }
        };
        assert_eq!(
            got.map(String::from_utf8_lossy).as_deref(),
            Some(expected.as_str()),
            "{kind}: {} answered {}",
            case.location,
            answer.status
        );
    }
    drop(nginx);
}

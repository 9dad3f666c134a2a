//! Reading documents: what is accepted, and where problems point.

#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::time::{Duration, Instant};

use nxmesh_core::{
    document::{MAX_TEXT_BYTES, Problem, parse, parse_canonical, parse_value},
    model::{Resource, ResourceKind},
    testkit::sample,
};
use serde_json::{Value, json};

/// A document of each kind in which every field is set.
fn full() -> [Value; 3] {
    let host = json!({
        "kind": "VirtualHost",
        "metadata": { "name": "shop", "workspace": "default", "labels": { "team": "web" } },
        "spec": {
            "selector": "env=prod",
            "server_names": ["shop.example.com"],
            "listen": [{
                "port": 443, "address": "127.0.0.1", "tls": true, "http2": true, "default_server": true,
            }],
            "tls": {
                "certificate": "shop",
                "policy": "modern",
                "hsts": { "max_age": "1d", "include_subdomains": true, "preload": true },
                "redirect_http": false,
            },
            "locations": [
                {
                    "path": "/",
                    "match": "prefix",
                    "proxy": {
                        "upstream": "shop",
                        "scheme": "https",
                        "websocket": true,
                        "timeouts": { "connect": "1s", "read": "2s", "send": "3s" },
                        "request_headers": [
                            { "name": "X-A", "value": "a" },
                            { "name": "X-B", "variable": "host" },
                            { "name": "X-C", "remove": true },
                        ],
                        "buffering": false,
                    },
                    "response_headers": [{ "name": "X-D", "value": "d", "always": true }],
                    "max_body_size": "1m",
                },
                { "path": "/s", "static": { "root": "/srv", "index": ["index.html"] } },
                { "path": "/r", "redirect": { "to": "/x", "code": 308, "append_request_uri": true } },
                { "path": "/f", "respond": { "status": 200, "body": "ok", "content_type": "text/plain" } },
            ],
            "response_headers": [{ "name": "X-E", "value": "e" }],
            "max_body_size": 1024,
        },
    });
    let upstream = json!({
        "kind": "Upstream",
        "metadata": { "name": "shop" },
        "spec": {
            "balance": { "hash": { "key": "request_uri", "consistent": true } },
            "keepalive": 64,
            "servers": [{
                "address": "10.0.0.1:80", "weight": 2, "backup": false, "down": true,
                "max_fails": 3, "fail_timeout": "10s", "max_conns": 100,
            }],
        },
    });
    let certificate = json!({
        "kind": "Certificate",
        "metadata": { "name": "shop" },
        "spec": { "certificate": sample::SHOP_CERTIFICATE, "private_key": sample::SHOP_KEY },
    });
    [host, upstream, certificate]
}

fn problem(document: Value) -> Problem {
    match parse_value("test", document.clone()) {
        Ok(_) => panic!("{document} was accepted"),
        Err(problem) => problem,
    }
}

/// The pointers of all mappings in a document.
fn mappings(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(at.to_owned());
            for (key, value) in fields {
                mappings(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                mappings(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn documents_with_every_field_are_read_and_written() {
    for document in full() {
        let resource = parse_value("test", document.clone()).unwrap();
        let canonical = resource.to_canonical_json();
        assert_eq!(parse_canonical("test", &canonical), Ok(resource));
    }
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    let mut tried = 0;
    for document in full() {
        let mut places = Vec::new();
        mappings(&document, "", &mut places);
        for place in places {
            if place == "/metadata/labels" {
                continue;
            }
            let mut changed = document.clone();
            let mapping = changed.pointer_mut(&place).unwrap();
            mapping["tpyo"] = json!(1);
            let problem = problem(changed);
            // Under `balance` a mapping names its kind.
            let expected = match &*place {
                "/spec/balance" => place.clone(),
                _ => format!("{place}/tpyo"),
            };
            assert_eq!(problem.pointer, expected, "{problem}");
            tried += 1;
        }
    }
    assert!(tried > 25, "{tried} levels");
}

#[test]
fn problems_point_at_the_value() {
    // JSON pointer, a value that is not accepted there, and a part of the rule.
    let cases = [
        ("/metadata/name", json!("Shop"), "lower-case"),
        ("/metadata/name", json!(5), "expected a string"),
        ("/metadata/workspace", json!(""), "workspace name"),
        ("/metadata/labels/team", json!("a b"), "label value"),
        ("/spec", json!([]), "expected"),
        ("/spec/selector", json!("env in (a"), "selector"),
        ("/spec/server_names", json!("shop"), "expected a sequence"),
        ("/spec/server_names/0", json!("a b"), "host name"),
        ("/spec/listen/0/port", json!(0), "port"),
        ("/spec/listen/0/port", json!(65_536), "port"),
        ("/spec/listen/0/port", json!("443"), "expected"),
        ("/spec/listen/0/address", json!("[::1]"), "listen address"),
        ("/spec/listen/0/tls", json!("yes"), "expected a boolean"),
        ("/spec/tls/certificate", json!("../x"), "a name is"),
        ("/spec/tls/policy", json!("ancient"), "`modern`"),
        ("/spec/tls/hsts/max_age", json!("1 year"), "a time is"),
        ("/spec/tls/hsts/max_age", json!(5), "a time is"),
        ("/spec/locations/0/path", json!("x"), "location path"),
        ("/spec/locations/0/path", json!("/a\nb"), "location path"),
        ("/spec/locations/0/match", json!("glob"), "`exact`"),
        ("/spec/locations/0/proxy/upstream", json!("UP"), "a name is"),
        ("/spec/locations/0/proxy/scheme", json!("ftp"), "`https`"),
        (
            "/spec/locations/0/proxy/timeouts/connect",
            json!("x"),
            "a time is",
        ),
        (
            "/spec/locations/0/proxy/request_headers/0/name",
            json!("a b"),
            "header name",
        ),
        (
            "/spec/locations/0/proxy/request_headers/0/value",
            json!("a\r\nb"),
            "header value",
        ),
        (
            "/spec/locations/0/proxy/request_headers/1/variable",
            json!("cookie_x"),
            "`host`",
        ),
        (
            "/spec/locations/0/proxy/request_headers/2/remove",
            json!(false),
            "",
        ),
        ("/spec/locations/0/max_body_size", json!("1t"), "a size is"),
        (
            "/spec/locations/0/response_headers/0/value",
            json!(""),
            "header value",
        ),
        ("/spec/locations/1/static/root", json!("srv"), "file path"),
        (
            "/spec/locations/1/static/index/0",
            json!("a/b"),
            "index name",
        ),
        (
            "/spec/locations/2/redirect/to",
            json!("//evil"),
            "redirect target",
        ),
        (
            "/spec/locations/2/redirect/code",
            json!(200),
            "redirect code",
        ),
        (
            "/spec/locations/3/respond/status",
            json!(302),
            "response status",
        ),
        (
            "/spec/locations/3/respond/status",
            json!("200"),
            "whole number",
        ),
        (
            "/spec/locations/3/respond/body",
            json!("a\u{0}b"),
            "response body",
        ),
        (
            "/spec/locations/3/respond/content_type",
            json!("html"),
            "content type",
        ),
        ("/spec/max_body_size", json!(-1), "a size is"),
    ];
    let [host, upstream, certificate] = full();
    for (pointer, value, rule) in cases {
        let mut changed = host.clone();
        *changed.pointer_mut(pointer).unwrap() = value.clone();
        let problem = problem(changed);
        // A header without a value of any kind is at fault as a whole.
        let expected = pointer.strip_suffix("/remove").unwrap_or(pointer);
        assert_eq!(problem.pointer, expected, "{value}: {problem}");
        assert!(problem.rule.contains(rule), "{pointer} {value}: {problem}");
        let named = problem.document.starts_with("test (VirtualHost/");
        assert!(named || pointer == "/metadata/name", "{problem}");
    }
    for (pointer, value, rule) in [
        ("/spec/balance", json!("fastest"), "`round_robin`"),
        ("/spec/balance/hash/key", json!("colour"), "`request_uri`"),
        ("/spec/keepalive", json!(-1), "whole number"),
        (
            "/spec/servers/0/address",
            json!("10.0.0.1"),
            "upstream address",
        ),
        ("/spec/servers/0/weight", json!(70_000), "0 to 65535"),
        ("/spec/servers/0/fail_timeout", json!("10"), "a time is"),
    ] {
        let mut changed = upstream.clone();
        *changed.pointer_mut(pointer).unwrap() = value.clone();
        let problem = problem(changed);
        assert_eq!(problem.pointer, pointer, "{value}: {problem}");
        assert!(problem.rule.contains(rule), "{pointer} {value}: {problem}");
    }
    for field in ["certificate", "private_key"] {
        let mut changed = certificate.clone();
        changed["spec"][field] = json!("-----BEGIN NONSENSE-----");
        assert_eq!(problem(changed).pointer, format!("/spec/{field}"));
    }
}

#[test]
fn missing_fields_are_pointed_at() {
    let [host, upstream, certificate] = full();
    for (document, pointer, document_itself) in [
        (&host, "/metadata", true),
        (&host, "/metadata/name", true),
        (&host, "/spec", true),
        (&host, "/spec/server_names", true),
        (&host, "/spec/listen/0/port", true),
        (&host, "/spec/tls/certificate", true),
        (&host, "/spec/tls/hsts/max_age", true),
        (&host, "/spec/locations/0/path", true),
        (&host, "/spec/locations/0/proxy", false),
        (&host, "/spec/locations/0/proxy/upstream", true),
        (&host, "/spec/locations/1/static/root", false),
        (&host, "/spec/locations/2/redirect/to", false),
        (&host, "/spec/locations/3/respond/status", true),
        (&upstream, "/spec/servers", true),
        (&upstream, "/spec/servers/0/address", true),
        (&upstream, "/spec/balance/hash/key", true),
        (&certificate, "/spec/certificate", true),
        (&certificate, "/spec/private_key", true),
    ] {
        let mut changed = document.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent_value = changed.pointer_mut(parent).unwrap();
        parent_value.as_object_mut().unwrap().remove(field).unwrap();
        let problem = problem(changed);
        let expected = if document_itself { pointer } else { parent };
        assert_eq!(problem.pointer, expected, "{problem}");
    }
    let mut changed = host;
    changed.as_object_mut().unwrap().remove("kind");
    assert_eq!(problem(changed).pointer, "/kind");
    assert_eq!(problem(json!({ "kind": "Pod" })).pointer, "/kind");
    assert_eq!(problem(json!({ "kind": ["VirtualHost"] })).pointer, "/kind");
    assert_eq!(problem(json!(["VirtualHost"])).pointer, "");
}

#[test]
fn two_actions_are_a_problem_of_the_location() {
    let [mut host, ..] = full();
    host["spec"]["locations"][1]["redirect"] = json!({ "to": "/" });
    let problem = problem(host);
    assert_eq!(problem.pointer, "/spec/locations/1");
    assert!(problem.rule.contains("exactly one of"), "{problem}");
}

#[test]
fn values_are_not_repeated_in_problems() {
    let [_, _, mut certificate] = full();
    certificate["spec"] = json!(sample::SHOP_KEY);
    let shown = problem(certificate).to_string();
    assert!(!shown.contains("PRIVATE"), "{shown}");
    let [_, _, mut certificate] = full();
    certificate["spec"]["private_key"] = json!(sample::SHOP_KEY.replace("BEGIN", "SECRET"));
    let shown = problem(certificate).to_string();
    assert!(!shown.contains("SECRET"), "{shown}");
}

#[test]
fn hostile_names_do_not_reach_the_terminal() {
    let name = "\u{1b}[2J\r\n\u{202e}evil".repeat(1000);
    for document in [
        json!({ "kind": "Upstream", "metadata": { "name": name }, "spec": {} }),
        json!({ "kind": name, "metadata": { "name": name } }),
        json!({ "kind": "Upstream", (&name): 1 }),
        json!({ "kind": "Upstream", "metadata": { "name": "a", "labels": { (&name): "x" } }, "spec": {} }),
        json!({ "kind": "Upstream", "metadata": { "name": "a" }, "spec": { "balance": name } }),
    ] {
        let shown = problem(document).to_string();
        assert!(shown.chars().count() < 1500, "{} characters", shown.len());
        assert!(
            !shown.contains(['\u{1b}', '\r', '\n', '\u{202e}']),
            "{shown:?}"
        );
    }
}

#[test]
fn every_bad_document_of_a_text_is_told() {
    let text = "
kind: Upstream
metadata: { name: good }
spec: { servers: [{ address: '10.0.0.1:80' }] }
---
kind: Upstream
metadata: { name: bad }
spec: { servers: [{ address: '10.0.0.1' }] }
---
kind: Pod
";
    let problems = parse("shop.yaml", text).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(
        shown[0].starts_with("shop.yaml#2 (Upstream/bad): /spec/servers/0/address: an upstream"),
        "{shown:?}"
    );
    assert!(
        shown[0].ends_with(", for example 10.0.0.11:8080"),
        "{shown:?}"
    );
    assert!(shown[1].starts_with("shop.yaml#3: /kind: "), "{shown:?}");
}

#[test]
fn yaml_and_json_say_the_same() {
    for document in full() {
        let from_value = parse_value("test", document.clone()).unwrap();
        let pretty = serde_json::to_string_pretty(&document).unwrap();
        for text in [document.to_string(), pretty] {
            let parsed = parse("test", &text).unwrap();
            assert_eq!(parsed.len(), 1);
            assert_eq!(parsed[0].resource, from_value);
        }
    }
    let mixed = format!("{}\n---\n# a comment\n---\n{}\n", full()[0], full()[1]);
    let kinds: Vec<ResourceKind> = parse("test", &mixed)
        .unwrap()
        .iter()
        .map(|parsed| parsed.resource.kind())
        .collect();
    assert_eq!(kinds, [ResourceKind::VirtualHost, ResourceKind::Upstream]);
    assert_eq!(parse("test", ""), Ok(vec![]));
    assert_eq!(parse("test", "# nothing\n"), Ok(vec![]));
}

#[test]
fn a_text_of_thousands_of_documents_is_read() {
    let text: String = sample::fleet(1_000)
        .iter()
        .map(|(_, resource)| String::from_utf8(resource.to_canonical_json()).unwrap() + "\n---\n")
        .collect();
    assert_eq!(parse("fleet.yaml", &text).unwrap().len(), 2_000);
}

/// What is wrong with a text as a whole; and it is told quickly.
fn refused(name: &str, text: &str) {
    let started = Instant::now();
    let problems = parse(name, text);
    let took = started.elapsed();
    let problems = problems.map(|parsed| parsed.len()).expect_err(name);
    assert!(!problems.is_empty());
    assert!(problems[0].to_string().chars().count() < 1500, "{name}");
    assert!(took < Duration::from_secs(20), "{name} took {took:?}");
}

#[test]
fn text_that_is_too_much_is_refused() {
    let document = |spec: &str| format!("kind: Upstream\nmetadata: {{ name: a }}\nspec: {spec}\n");
    refused("longer than the limit", &"#".repeat(MAX_TEXT_BYTES + 1));
    for open in ["[", "{a: ", "- ", "? "] {
        refused("deep nesting", &document(&open.repeat(100_000)));
    }
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    refused("a bomb of aliases", &bomb);
    refused("an alias of itself", "a: &a [*a]\n");
    // These take time in proportion to their length, up to the limits on nodes
    // and documents.
    refused("many items", &document(&"\n- a".repeat(50_000)));
    refused("one long word", &document(&"a".repeat(1 << 20)));
    refused("many documents", &"---\na\n".repeat(60_000));
    let fields: String = (0..20_000).map(|key| format!("\n  k{key}: 1")).collect();
    refused("many fields", &document(&fields));
}

#[test]
fn text_that_says_two_things_is_refused() {
    let spec = "spec: { servers: [{ address: '10.0.0.1:80' }] }";
    for text in [
        format!("kind: Upstream\nmetadata: {{ name: a, name: b }}\n{spec}"),
        format!("kind: Upstream\nkind: Upstream\nmetadata: {{ name: a }}\n{spec}"),
        format!("kind: Upstream\nmetadata: {{ name: a }}\n{spec}\n{spec}"),
        r#"{"kind":"Upstream","metadata":{"name":"a"},"metadata":{"name":"b"},"spec":{"servers":[]}}"#.to_owned(),
        "kind: [".to_owned(),
        "\tkind: Upstream".to_owned(),
        "kind: Upstream\u{0}".to_owned(),
        "%YAML 9.9\n---\nkind: \"".to_owned(),
    ] {
        assert!(parse("test", &text).is_err(), "{text:?} was accepted");
    }
}

#[test]
fn a_key_written_twice_is_told_to_its_author() {
    let problems = parse("test", "kind: VirtualHost\nkind: Upstream\n").unwrap_err();
    assert_eq!(
        problems[0].rule,
        "the text is not well-formed YAML or JSON: \
         duplicate mapping key `kind` is not allowed here at line 2, column 1"
    );
}

#[test]
fn what_a_parser_says_is_shown_plainly() {
    let key = "\u{202e}\u{9b}31m".repeat(300);
    for text in [
        format!("'{key}': 1\n'{key}': 2\n"),
        format!("a: *{key}"),
        format!("{{\"{key}\": 1, \"{key}\": 2}}"),
    ] {
        let shown = parse("test", &text).unwrap_err()[0].to_string();
        assert!(shown.chars().count() < 800, "{shown}");
        assert!(!shown.contains(['\u{202e}', '\u{9b}']), "{shown:?}");
    }
}

#[test]
fn canonical_documents_say_one_thing() {
    let twice = br#"{"kind":"Upstream","metadata":{"name":"a"},"metadata":{"name":"b"},"spec":{"servers":[{"address":"10.0.0.1:80"}]}}"#;
    assert!(parse_canonical("test", twice).is_err());
    for bad in [&b"{"[..], b"\xff", b"", b"[]", b"{} {}"] {
        assert!(
            parse_canonical("test", bad).is_err(),
            "{bad:?} was accepted"
        );
    }
}

/// One document per kind as an earlier release wrote it; it has to load for good.
#[test]
fn stored_forms_load() {
    let forms: [(&str, &[u8], ResourceKind); 3] = [
        (
            "virtual_host",
            include_bytes!("stored_forms/virtual_host.0.1.json"),
            ResourceKind::VirtualHost,
        ),
        (
            "upstream",
            include_bytes!("stored_forms/upstream.0.1.json"),
            ResourceKind::Upstream,
        ),
        (
            "certificate",
            include_bytes!("stored_forms/certificate.0.1.json"),
            ResourceKind::Certificate,
        ),
    ];
    for ((name, json, kind), written_now) in forms.into_iter().zip(full()) {
        let resource = parse_canonical(name, json).unwrap();
        assert_eq!(resource.kind(), kind);
        let now: Resource = parse_value(name, written_now).unwrap();
        assert_eq!(resource, now, "{name} no longer means what it meant");
        // The digest is what agents compare: the same bytes, or all of them apply again.
        let written = String::from_utf8(resource.to_canonical_json()).unwrap();
        let kept = std::str::from_utf8(json).unwrap();
        assert_eq!(written, kept.trim_end(), "{name}");
    }
}

/// What a list of the API says can be given back.
#[test]
fn a_list_counts_as_its_items() {
    let item = |name: &str| {
        format!(
            "{{ kind: Upstream, metadata: {{ name: {name} }}, spec: {{ servers: [{{ address: \"10.0.0.1:80\" }}] }} }}"
        )
    };
    let list = format!("{{ items: [{}, {}], next: x }}", item("a"), item("b"));
    let parsed = parse("list", &list).unwrap();
    let keys: Vec<_> = parsed
        .iter()
        .map(|parsed| parsed.resource.key().to_string())
        .collect();
    assert_eq!(keys, ["Upstream/a", "Upstream/b"]);
    assert_eq!(parsed[1].origin.number, 2);
    assert!(parse("list", "{ items: [] }").unwrap().is_empty());
    for bad in [
        "{ items: 1 }",
        "{ next: x }",
        "{ items: [], kind: List }",
        "{}",
    ] {
        assert!(parse("list", bad).is_err(), "{bad} was accepted");
    }
}

/// A list is read item by item, and its items are numbered like documents.
#[test]
fn problems_of_a_list_name_the_item() {
    let good = r#"{ kind: Upstream, metadata: { name: a }, spec: { servers: [{ address: "10.0.0.1:80" }] } }"#;
    let text =
        format!("{good}\n---\nitems: [{good}, null, {{ kind: X }}]\n---\n{good}\n---\nkind: Y\n");
    let problems = parse("list", &text).unwrap_err();
    let documents: Vec<_> = problems.iter().map(|problem| &*problem.document).collect();
    assert_eq!(documents, ["list#4", "list#6"]);
}

#[test]
fn numbers_and_words_are_not_repeated_by_the_parser() {
    let problems = parse("test", &format!("kind: {}\n", "7".repeat(400))).unwrap_err();
    assert!(!problems[0].rule.contains("77"), "{}", problems[0]);
}

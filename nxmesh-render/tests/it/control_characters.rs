//! Control characters are refused where a document is read.

use nxmesh_core::document::parse_value;
use serde_json::{Value, json};

/// A JSON pointer, and a document with a text there.
type Field<'f> = (&'f str, &'f dyn Fn(&str) -> Value);

/// Where parsing refuses control characters, and by what name.
#[test]
fn control_characters_are_refused_by_name() {
    let host = |spec: Value| {
        let mut spec = spec;
        if spec.get("server_names").is_none() {
            spec["server_names"] = json!(["a.example.com"]);
        }
        json!({ "kind": "VirtualHost", "metadata": { "name": "shop" }, "spec": spec })
    };
    let location = |location: Value| host(json!({ "locations": [location] }));
    let fields: [Field<'_>; 13] = [
        ("/spec/server_names/0", &|text| {
            host(json!({ "server_names": [format!("a{text}")] }))
        }),
        ("/spec/server_names/0", &|text| {
            host(json!({ "server_names": [format!("~a{text}")] }))
        }),
        ("/spec/response_headers/0/name", &|text| {
            host(json!({ "response_headers": [{ "name": format!("X{text}"), "value": "x" }] }))
        }),
        ("/spec/response_headers/0/value", &|text| {
            host(json!({ "response_headers": [{ "name": "X", "value": format!("x{text}y") }] }))
        }),
        ("/spec/locations/0", &|text| {
            location(json!({ "path": format!("/{text}"), "respond": { "status": 200 } }))
        }),
        ("/spec/locations/0", &|text| {
            location(
                json!({ "path": format!("/{text}"), "match": "regex", "respond": { "status": 200 } }),
            )
        }),
        ("/spec/locations/0/respond/body", &|text| {
            location(
                json!({ "path": "/", "respond": { "status": 200, "body": format!("a{text}") } }),
            )
        }),
        ("/spec/locations/0/respond/content_type", &|text| {
            location(
                json!({ "path": "/", "respond": { "status": 200, "content_type": format!("text/plain; a={text}") } }),
            )
        }),
        ("/spec/locations/0/redirect/to", &|text| {
            location(json!({ "path": "/", "redirect": { "to": format!("/a{text}") } }))
        }),
        ("/spec/locations/0/static/root", &|text| {
            location(json!({ "path": "/", "static": { "root": format!("/a{text}") } }))
        }),
        ("/spec/locations/0/static/index/0", &|text| {
            location(
                json!({ "path": "/", "static": { "root": "/a", "index": [format!("a{text}")] } }),
            )
        }),
        ("/spec/locations/0/proxy/request_headers/0/value", &|text| {
            location(json!({ "path": "/", "proxy": {
                "upstream": "a", "request_headers": [{ "name": "X", "value": format!("a{text}") }],
            } }))
        }),
        ("/spec/servers/0/address", &|text| {
            json!({
                "kind": "Upstream", "metadata": { "name": "shop" },
                "spec": { "servers": [{ "address": format!("unix:/a{text}") }] },
            })
        }),
    ];
    for (pointer, document) in fields {
        for control in [
            "\n", "\r", "\0", "\t", "\u{b}", "\u{1b}", "\u{7f}", "\u{85}", "\u{9f}",
        ] {
            if pointer.ends_with("/body") && ["\n", "\t"].contains(&control) {
                continue;
            }
            match parse_value("test", document(control)) {
                Err(problem) => assert!(problem.pointer.starts_with(pointer), "{problem}"),
                Ok(_) => panic!("{pointer} takes {control:?}"),
            }
        }
    }
}

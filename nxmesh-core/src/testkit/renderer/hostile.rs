//! Texts that try to be more than text, in every field that takes some.

use serde_json::{Value, json};

use crate::{document::parse_value, model::Resource};

/// Texts that change the structure of a configuration when they are not quoted rightly.
pub const TEXTS: [&str; 30] = [
    "\"; } evil on; {",
    "'; } evil on; {",
    "; evil on;",
    "} evil { on; }",
    "{",
    "}",
    ";",
    "#comment",
    "a #comment",
    "\"",
    "'",
    "\\",
    "\\\\",
    "\\\"",
    "\\n\\r\\t",
    "end\\",
    "\"quoted\"",
    "'quoted'",
    "two words",
    " padded ",
    "$host",
    "${host}",
    "${",
    "$",
    "a$$b${c}",
    "off",
    "~^x{2}$",
    "ünïcödé 漢字 \u{1f980}",
    "%0d%0aSet-Cookie:%20x",
    "\u{202e}{{x}}&amp;<%= y %>",
];

/// A document with `text` in one of its fields.
type WithText = fn(&str) -> Value;

/// Every field that takes free text, by JSON pointer.
const FIELDS: [(&str, WithText); 15] = [
    ("/spec/server_names/0", |text| {
        host(json!({ "server_names": [text] }))
    }),
    ("/spec/server_names/0 as a pattern", |text| {
        host(json!({ "server_names": [format!("~{text}")] }))
    }),
    ("/spec/response_headers/0/value", |text| {
        host(json!({ "response_headers": [{ "name": "X-Text", "value": text }] }))
    }),
    ("/spec/response_headers/0/name", |text| {
        host(json!({ "response_headers": [{ "name": text, "value": "x" }] }))
    }),
    ("/spec/locations/0/path", |text| {
        location(json!({ "path": format!("/{text}"), "respond": { "status": 200 } }))
    }),
    ("/spec/locations/0/path, exact", |text| {
        location(
            json!({ "path": format!("/{text}"), "match": "exact", "respond": { "status": 200 } }),
        )
    }),
    ("/spec/locations/0/path, priority", |text| {
        location(json!({
            "path": format!("/{text}"), "match": "prefix_priority", "respond": { "status": 200 },
        }))
    }),
    ("/spec/locations/0/path, pattern", |text| {
        location(json!({ "path": text, "match": "regex", "respond": { "status": 200 } }))
    }),
    ("/spec/locations/0/respond/body", |text| {
        location(json!({ "path": "/", "respond": { "status": 200, "body": text } }))
    }),
    ("/spec/locations/0/respond/content_type", |text| {
        location(json!({ "path": "/", "respond": { "status": 200, "content_type": text } }))
    }),
    ("/spec/locations/0/redirect/to", |text| {
        location(json!({ "path": "/", "redirect": { "to": format!("/{text}") } }))
    }),
    ("/spec/locations/0/static/root", |text| {
        location(json!({ "path": "/", "static": { "root": format!("/{text}") } }))
    }),
    ("/spec/locations/0/static/index/0", |text| {
        location(json!({ "path": "/", "static": { "root": "/srv", "index": [text] } }))
    }),
    ("/spec/locations/0/proxy/request_headers/0/value", |text| {
        location(json!({
            "path": "/",
            "proxy": { "upstream": "shop", "request_headers": [{ "name": "X-Text", "value": text }] },
        }))
    }),
    ("/spec/servers/0/address", |text| {
        json!({
            "kind": "Upstream",
            "metadata": { "name": "shop" },
            "spec": { "servers": [{ "address": format!("unix:/{text}") }] },
        })
    }),
];

fn host(mut spec: Value) -> Value {
    if spec.get("server_names").is_none() {
        spec["server_names"] = json!(["shop.example.com"]);
    }
    json!({ "kind": "VirtualHost", "metadata": { "name": "shop" }, "spec": spec })
}

fn location(location: Value) -> Value {
    host(json!({ "locations": [location] }))
}

/// A field with a plain text and with each hostile text the model takes there.
#[derive(Debug)]
pub struct Field {
    /// Where the text stands.
    pub name: &'static str,
    /// The document with a plain text.
    pub plain: Resource,
    /// The documents with hostile ones, each with its text.
    pub hostile: Vec<(&'static str, Resource)>,
}

/// All fields. What the model refuses is left out: it never reaches a renderer.
#[must_use]
pub fn fields() -> Vec<Field> {
    FIELDS
        .into_iter()
        .map(|(name, with_text)| {
            let plain = ["plain", "text/plain"]
                .into_iter()
                .find_map(|text| parse_value("plain", with_text(text)).ok());
            let hostile = TEXTS.into_iter().filter_map(|text| {
                let resource = parse_value("hostile", with_text(text)).ok()?;
                Some((text, resource))
            });
            Field {
                name,
                plain: plain.unwrap_or_else(|| panic!("{name} takes no plain text")),
                hostile: hostile.collect(),
            }
        })
        .collect()
}

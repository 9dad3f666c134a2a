//! `location` blocks.

use nxmesh_core::snippet::SnippetContext;
use serde_json::{Value, json};

use super::{
    draft::{Draft, Leftover, time},
    http::Inherited,
    node::Node,
    report::Report,
    upstream::Upstreams,
};

/// Where locations are read.
pub(super) struct Place<'p, 'n> {
    /// The virtual host's name.
    pub(super) host: String,
    /// What the server says for its locations.
    pub(super) inherited: &'p Inherited<'n>,
    /// Whether the server has response headers. nginx drops them where a
    /// location has its own, NxMesh sends both; so there they stay a Snippet.
    pub(super) headers: bool,
    pub(super) upstreams: &'p mut Upstreams,
    /// The Snippet of the server.
    pub(super) leftover: &'p mut Leftover,
    pub(super) snippets: &'p mut Vec<Draft>,
    pub(super) report: &'p mut Report,
}

impl<'n> Place<'_, 'n> {
    /// A location as documents have it; `None` if it became part of the
    /// server's Snippet, or of nothing.
    pub(super) fn location(&mut self, node: &'n Node) -> Option<Value> {
        let (kind, path) = match &node.arguments[..] {
            [path] => ("prefix", path),
            [modifier, path] => {
                let kind = match modifier.as_str() {
                    "=" => "exact",
                    "^~" => "prefix_priority",
                    "~" => "regex",
                    "~*" => "regex_ignore_case",
                    _ => return self.whole(node),
                };
                (kind, path)
            }
            _ => return self.whole(node),
        };
        let nested = node.children().iter().any(|inner| inner.name == "location");
        if nested || path.starts_with('@') {
            return self.whole(node);
        }
        let mut location = json!({ "path": path });
        if kind != "prefix" {
            location["match"] = json!(kind);
        }
        let Some(taken) = self.action(node, &mut location) else {
            return self.whole(node);
        };
        self.settings(node, location, &taken)
    }

    /// A location with no action that a field can say, as it stands.
    fn whole(&mut self, node: &Node) -> Option<Value> {
        self.leftover.take(node, self.report);
        None
    }

    /// Finds out what is done with requests; the directives that say so.
    fn action(&mut self, node: &'n Node, location: &mut Value) -> Option<Vec<&'static str>> {
        const HANDLERS: [&str; 6] = [
            "fastcgi_pass",
            "grpc_pass",
            "memcached_pass",
            "scgi_pass",
            "uwsgi_pass",
            "stub_status",
        ];
        let nodes = node.children();
        let find = |name: &str| nodes.iter().rfind(|node| node.name == name);
        if HANDLERS.iter().any(|name| find(name).is_some()) {
            return None;
        }
        if let Some(pass) = find("proxy_pass") {
            location["proxy"] = self.proxy(pass, nodes)?;
            return Some(PROXY.to_vec());
        }
        if let Some(answer) = find("return") {
            let kind = find("default_type").or(self.inherited.default_type);
            let (field, action) = returned(answer, kind)?;
            location[field] = action;
            return Some(vec!["return", "default_type"]);
        }
        if find("alias").is_some() {
            return None;
        }
        let root = find("root").or(self.inherited.root)?;
        let index = find("index").or(self.inherited.index);
        location["static"] = files(root.first(), index);
        Some(vec!["root", "index"])
    }

    fn proxy(&mut self, pass: &Node, nodes: &'n [Node]) -> Option<Value> {
        let [target] = &pass.arguments[..] else {
            return None;
        };
        let (https, authority) = match target.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, target.strip_prefix("http://")?),
        };
        let unix = authority.starts_with("unix:");
        // What follows a path is put in the place of the location's, which is
        // another thing.
        if authority.contains('$') || (!unix && authority.contains('/')) {
            return None;
        }
        let upstream = self.upstreams.for_authority(authority, https)?;
        let mut proxy = json!({ "upstream": upstream });
        if https {
            proxy["scheme"] = json!("https");
        }
        let mut headers = Vec::new();
        let own: Vec<&Node> = nodes
            .iter()
            .filter(|node| node.name == "proxy_set_header")
            .collect();
        let set = if own.is_empty() {
            &self.inherited.request_headers
        } else {
            &own
        };
        let upgrades = |node: &&&Node| {
            node.first().eq_ignore_ascii_case("upgrade")
                && node
                    .arguments
                    .get(1)
                    .is_some_and(|value| value == "$http_upgrade")
        };
        if set.iter().any(|node| upgrades(&node)) {
            proxy["websocket"] = json!(true);
        }
        for node in set {
            let name = node.first();
            if name.eq_ignore_ascii_case("upgrade") || name.eq_ignore_ascii_case("connection") {
                continue;
            }
            match request_header(node) {
                Some(header) => headers.push(header),
                None => {
                    let reason = "its value is made of variables that cannot be named";
                    self.report.lost(node, reason);
                }
            }
        }
        let named = |name: &str| {
            let mut all = headers.iter();
            all.any(|header| {
                header["name"]
                    .as_str()
                    .is_some_and(|own| own.eq_ignore_ascii_case(name))
            })
        };
        if !named("Host") {
            headers.push(json!({ "name": "Host", "value": authority }));
        }
        proxy["request_headers"] = Value::Array(headers);
        let mut timeouts = serde_json::Map::new();
        for (directive, field) in TIMEOUTS {
            if let Some(node) = nodes.iter().rfind(|node| node.name == directive) {
                timeouts.insert(field.to_owned(), json!(time(node.first())));
            }
        }
        if !timeouts.is_empty() {
            proxy["timeouts"] = Value::Object(timeouts);
        }
        if let Some(node) = nodes.iter().rfind(|node| node.name == "proxy_buffering") {
            proxy["buffering"] = json!(node.first() == "on");
        }
        Some(proxy)
    }

    /// Adds what is said beside the action; `taken` names what was said already.
    fn settings(&mut self, node: &'n Node, location: Value, taken: &[&str]) -> Option<Value> {
        let name = format!("{}-{}", self.host, node.line);
        let mut leftover = Leftover::new(format!("{name}-location"), SnippetContext::Location);
        let mut draft = Draft::new(
            nxmesh_core::model::ResourceKind::VirtualHost,
            self.host.clone(),
            json!({ "server_names": ["_"], "locations": [location.clone()] }),
        );
        if draft.resource().is_none() {
            return self.whole(node);
        }
        let mut location = location;
        let mut try_with = |field: &str, value: Value, location: &mut Value| {
            let mut changed = location.clone();
            changed[field] = value;
            let fits = draft.set("locations", json!([changed.clone()]));
            if fits {
                *location = changed;
            }
            fits
        };
        for inner in node.children() {
            let name = inner.name.as_str();
            if taken.contains(&name) {
                continue;
            }
            let typed = match name {
                "add_header" if !self.headers => response_header(inner).is_some_and(|header| {
                    let list = location["response_headers"].as_array().cloned();
                    let mut list = list.unwrap_or_default();
                    list.push(header);
                    try_with("response_headers", Value::Array(list), &mut location)
                }),
                "client_max_body_size" => {
                    try_with("max_body_size", json!(inner.first()), &mut location)
                }
                "access_log" if inner.first() != "off" => {
                    self.report
                        .replaced(inner, "requests are not logged to files");
                    true
                }
                "error_log" => {
                    self.report
                        .replaced(inner, "the agent says where nginx logs errors");
                    true
                }
                _ => false,
            };
            if !typed {
                leftover.take(inner, self.report);
            }
        }
        if let Some(snippet) = leftover.draft() {
            if try_with("snippets", json!([snippet.name]), &mut location) {
                self.snippets.push(snippet);
            } else {
                self.report.lost(node, "snippets cannot be attached here");
            }
        }
        Some(location)
    }
}

const TIMEOUTS: [(&str, &str); 3] = [
    ("proxy_connect_timeout", "connect"),
    ("proxy_read_timeout", "read"),
    ("proxy_send_timeout", "send"),
];

/// What the proxy action says.
const PROXY: [&str; 7] = [
    "proxy_pass",
    "proxy_set_header",
    "proxy_connect_timeout",
    "proxy_read_timeout",
    "proxy_send_timeout",
    "proxy_buffering",
    "proxy_http_version",
];

/// The `static` action.
pub(super) fn files(root: &str, index: Option<&Node>) -> Value {
    let mut files = json!({ "root": root });
    if let Some(index) = index {
        files["index"] = json!(index.arguments);
    }
    files
}

/// A header that is always the same; `None` if it has variables.
pub(super) fn response_header(node: &Node) -> Option<Value> {
    let (name, value, always) = match &node.arguments[..] {
        [name, value] => (name, value, false),
        [name, value, always] if always == "always" => (name, value, true),
        _ => return None,
    };
    if value.contains('$') {
        return None;
    }
    let mut header = json!({ "name": name, "value": value });
    if always {
        header["always"] = json!(true);
    }
    Some(header)
}

fn request_header(node: &Node) -> Option<Value> {
    let [name, value] = &node.arguments[..] else {
        return None;
    };
    if value.is_empty() {
        return Some(json!({ "name": name, "remove": true }));
    }
    if let Some(variable) = value.strip_prefix('$') {
        let variable = variable.trim_matches(['{', '}']);
        let plain = variable
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let header = json!({ "name": name, "variable": variable });
        let known = serde_json::from_value::<nxmesh_core::model::RequestHeader>(header.clone());
        return (plain && known.is_ok()).then_some(header);
    }
    (!value.contains('$')).then(|| json!({ "name": name, "value": value }))
}

/// `return` as a redirect or a fixed response.
fn returned(node: &Node, default_type: Option<&Node>) -> Option<(&'static str, Value)> {
    let (code, text) = match &node.arguments[..] {
        [url] if url.starts_with("http") => ("302", url.as_str()),
        [code] => (code.as_str(), ""),
        [code, text] => (code.as_str(), text.as_str()),
        _ => return None,
    };
    let number: u16 = code.parse().ok()?;
    if matches!(number, 301 | 302 | 303 | 307 | 308) {
        let (to, append) = match text.strip_suffix("$request_uri") {
            Some(to) => (to, true),
            None => (text, false),
        };
        if to.contains('$') {
            return None;
        }
        let mut redirect = json!({ "to": to, "code": number });
        if append {
            redirect["append_request_uri"] = json!(true);
        }
        return Some(("redirect", redirect));
    }
    // Without a text nginx shows a page of its own, which may be another one.
    if text.contains('$') || (number >= 400 && text.is_empty()) {
        return None;
    }
    let mut respond = json!({ "status": number, "body": text });
    if let Some(kind) = default_type {
        respond["content_type"] = json!(kind.first());
    }
    Some(("respond", respond))
}

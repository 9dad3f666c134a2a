//! `upstream` blocks, and servers that are named without one.

use std::collections::{BTreeMap, BTreeSet};

use nxmesh_core::{
    model::{Resource, ResourceKind},
    snippet::{SnippetContext, SnippetText},
};
use serde_json::{Value, json};

use super::{
    draft::{Draft, Leftover, Names},
    node::Node,
    report::Report,
    scope::Scope,
    value::time,
};

/// The upstreams: what the configuration calls them, and their documents.
pub(super) struct Upstreams {
    names: Names,
    by_name: BTreeMap<String, String>,
    drafts: Vec<Draft>,
}

impl Upstreams {
    /// None yet; their names are among `names`.
    pub(super) fn new(names: &Names) -> Self {
        Self {
            names: names.clone(),
            by_name: BTreeMap::new(),
            drafts: Vec::new(),
        }
    }

    /// Takes an `upstream` block in, that stands among `around`.
    pub(super) fn block(
        &mut self,
        node: &Node,
        around: &[Node],
        snippets: &mut Vec<Draft>,
        report: &mut Report,
    ) {
        let name = self.names.take(node.first());
        let mut draft = Draft::new(
            ResourceKind::Upstream,
            name.clone(),
            json!({ "servers": [] }),
        );
        let mut leftover = Leftover::new(format!("{name}-upstream"), SnippetContext::Upstream);
        let asks = |it: &Node| it.name == "server" && it.arguments.iter().any(|it| it == "resolve");
        let asked = Scope::new(around).below(node.children()).find("resolver");
        let resolves = node.children().iter().any(asks)
            && asked
                .and_then(resolver)
                .is_some_and(|it| draft.set("resolver", it));
        for inner in node.children() {
            let typed = match (inner.name.as_str(), &inner.arguments[..]) {
                ("server", _) => server(&mut draft, inner, resolves, report),
                ("resolver", _) if resolves => true,
                ("least_conn", []) => draft.set("balance", json!("least_conn")),
                ("ip_hash", []) => draft.set("balance", json!("ip_hash")),
                ("random", [] | [_] | [_, _]) => draft.set("balance", json!("random")),
                ("hash", [key, rest @ ..]) => hash(&mut draft, key, rest),
                ("keepalive", [number, local @ ..]) if local.is_empty() || local == ["local"] => {
                    number
                        .parse::<u32>()
                        .is_ok_and(|number| draft.set("keepalive", json!(number)))
                }
                ("keepalive_requests" | "keepalive_timeout" | "keepalive_time", [value]) => {
                    let value = match inner.name.as_str() {
                        "keepalive_requests" => {
                            value.parse::<u64>().map_or(Value::Null, Value::from)
                        }
                        _ => Value::from(time(value)),
                    };
                    draft.set(&inner.name, value)
                }
                ("zone", _) => {
                    report.replaced(
                        inner,
                        "every upstream has a zone of its own, of the right size",
                    );
                    true
                }
                _ => false,
            };
            if !typed {
                leftover.take(inner, report);
            }
        }
        self.by_name.insert(node.first().to_owned(), name);
        attach(&mut draft, leftover, snippets, node, report);
        self.drafts.push(draft);
    }

    /// The upstream that `proxy_pass http://host` means: a block of that name,
    /// or one made for that server, with the port of the scheme if it has none.
    pub(super) fn for_authority(&mut self, authority: &str, https: bool) -> Option<String> {
        if let Some(name) = self.by_name.get(authority) {
            return Some(name.clone());
        }
        let address = with_port(authority, if https { 443 } else { 80 });
        let spec = json!({ "servers": [{ "address": address }] });
        let name = address.trim_start_matches("unix:").replace(':', "-");
        let name = self.names.take(&name);
        let draft = Draft::new(ResourceKind::Upstream, name.clone(), spec);
        draft.resource()?;
        self.by_name.insert(authority.to_owned(), name.clone());
        self.drafts.push(draft);
        Some(name)
    }

    /// What the block of this name is called in its document.
    pub(super) fn called(&self, name: &str) -> Option<String> {
        self.by_name.get(name).cloned()
    }

    /// Lets a Snippet name the resources where it passes to upstreams by the names
    /// that they had.
    ///
    /// Values of variables are such names if something is passed to these, which `passes`
    /// tells of `$variable`.
    pub(super) fn name_in(&self, snippet: &mut Draft, passes: impl Fn(&str) -> bool) {
        let text = snippet.spec.get("directives").and_then(Value::as_str);
        let Some(text) = text.and_then(|text| SnippetText::parse(text).ok()) else {
            return;
        };
        let mut named = BTreeSet::new();
        let text = text.passing_to(|name, variable| {
            if variable.is_some_and(|it| !passes(it)) {
                return None;
            }
            let name = self.by_name.get(name)?;
            named.insert(name.clone());
            Some(name.clone())
        });
        if !named.is_empty() {
            let spec = &mut snippet.spec;
            spec.insert("directives".to_owned(), Value::from(text));
            spec.insert("upstreams".to_owned(), json!(named));
        }
    }

    pub(super) fn into_resources(self) -> impl Iterator<Item = Resource> {
        self.drafts.into_iter().filter_map(|draft| draft.resource())
    }
}

/// Adds a Snippet to what may refer to one.
pub(super) fn attach(
    draft: &mut Draft,
    leftover: Leftover,
    snippets: &mut Vec<Draft>,
    node: &Node,
    report: &mut Report,
) {
    let Some(snippet) = leftover.draft() else {
        return;
    };
    if draft.push("snippets", Value::from(snippet.name.clone())) {
        snippets.push(snippet);
    } else {
        report.lost(node, "snippets cannot be attached here");
    }
}

/// Who is asked for addresses.
fn resolver(node: &Node) -> Option<Value> {
    let mut resolver = json!({ "servers": [] });
    let mut servers = Vec::new();
    for word in &node.arguments {
        match word.split_once('=') {
            None => servers.push(with_port(word, 53)),
            Some(("valid", valid)) => resolver["valid"] = Value::from(time(valid)),
            Some(("ipv6", "off")) => resolver["ipv4_only"] = Value::from(true),
            Some(("ipv4" | "ipv6", "on")) => {}
            Some(_) => return None,
        }
    }
    resolver["servers"] = json!(servers);
    Some(resolver)
}

fn server(draft: &mut Draft, node: &Node, resolves: bool, report: &mut Report) -> bool {
    let mut server = json!({ "address": with_port(node.first(), 80) });
    for parameter in node.arguments.iter().skip(1) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let number = || value.parse::<u64>().map_or(Value::Null, Value::from);
        match key {
            "weight" | "max_fails" | "max_conns" => server[key] = number(),
            "fail_timeout" => server[key] = Value::from(time(value)),
            "resolve" if !resolves => report.lost(
                node,
                "no field says who is asked for its addresses, so they are asked for once",
            ),
            "backup" | "down" | "resolve" => server[key] = Value::from(true),
            _ => {
                report.lost(node, format_args!("there is no server parameter {key}"));
            }
        }
    }
    draft.push("servers", server)
}

fn hash(draft: &mut Draft, key: &str, rest: &[String]) -> bool {
    let Some(key) = key.strip_prefix('$') else {
        return false;
    };
    let mut hash = json!({ "key": key.trim_matches(['{', '}']) });
    match rest {
        [] => {}
        [word] if word == "consistent" => hash["consistent"] = Value::from(true),
        _ => return false,
    }
    draft.set("balance", json!({ "hash": hash }))
}

/// An address as documents have it: always with a port.
fn with_port(address: &str, port: u16) -> String {
    let has_port = match address.strip_prefix('[') {
        Some(v6) => v6.contains("]:"),
        None => address.starts_with("unix:") || address.contains(':'),
    };
    if has_port {
        // nginx takes `unix:/path:` with a colon at the end too.
        let path = address
            .strip_suffix(':')
            .filter(|it| it.starts_with("unix:"));
        path.unwrap_or(address).to_owned()
    } else {
        format!("{address}:{port}")
    }
}

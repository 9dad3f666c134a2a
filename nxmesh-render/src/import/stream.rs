//! The `stream` block.

use std::collections::{BTreeMap, BTreeSet};

use nxmesh_core::{
    model::{Resource, ResourceKind},
    snippet::SnippetContext,
};
use serde_json::{Value, json};

use super::{
    action,
    draft::{Draft, Fields, Leftover, Names},
    files::Machine,
    listen::Listen,
    node::Node,
    report::Report,
    scope::Scope,
    settings::{self, Around},
    tls::{self, Certificates, Tls},
    upstream::{Upstreams, attach},
    value::Form,
    zones::Zones,
};

/// Makes resources of the block, for agents that own the whole of `nginx.conf`.
pub(super) fn import<'n>(
    node: &'n Node,
    machine: &'n Machine<'n>,
    names: &Names,
    certificates: &'n mut Certificates,
    report: &mut Report,
) -> Vec<Resource> {
    let nodes = node.children();
    let mut snippets: Vec<Draft> = Vec::new();
    let mut upstreams = Upstreams::new(names);
    for node in nodes.iter().filter(|node| node.name == "upstream") {
        upstreams.block(node, nodes, &mut snippets, report);
    }
    let mut servers = Servers {
        scope: Scope::new(nodes),
        by_name: by_name(nodes),
        zones: Zones::read(nodes),
        machine,
        upstreams,
        certificates,
        names: Names::default(),
        drafts: Vec::new(),
    };
    for node in nodes.iter().filter(|node| node.name == "server") {
        servers.block(node, &mut snippets, report);
    }
    let mut leftover = Leftover::new("imported-stream".to_owned(), SnippetContext::Stream);
    for node in nodes {
        match node.name.as_str() {
            "upstream" | "server" => {}
            "map" if servers.by_name.contains_key(target(node)) => {}
            "limit_conn_zone" if Zones::defines(node).is_some() => {
                report.replaced(node, "who refers to it says this itself");
            }
            "error_log" => report.replaced(node, "the agent says where nginx logs errors"),
            _ => {
                leftover.take(node, report);
            }
        }
    }
    snippets.extend(leftover.draft());
    let mut passed = BTreeSet::new();
    node.passes_to(&mut passed);
    for snippet in &mut snippets {
        let passes = |variable: &str| passed.contains(variable);
        servers.upstreams.name_in(snippet, passes);
    }
    let drafts = servers.drafts.into_iter().chain(snippets);
    drafts
        .filter_map(|draft| draft.resource())
        .chain(servers.upstreams.into_resources())
        .collect()
}

struct Servers<'n> {
    scope: Scope<'n>,
    /// Variables that hold an upstream for the name of the handshake, with what
    /// they hold for which name.
    by_name: BTreeMap<String, Vec<(String, String)>>,
    zones: Zones,
    machine: &'n Machine<'n>,
    upstreams: Upstreams,
    certificates: &'n mut Certificates,
    names: Names,
    drafts: Vec<Draft>,
}

/// The variable that a `map` defines.
fn target(node: &Node) -> &str {
    let name = node.arguments.get(1).map_or("", String::as_str);
    name.trim_start_matches('$')
}

/// `map $ssl_preread_server_name $upstream { … }`
fn by_name(nodes: &[Node]) -> BTreeMap<String, Vec<(String, String)>> {
    let of_handshake = |node: &&Node| {
        let source = node.first();
        node.name == "map" && matches!(source, "$ssl_preread_server_name" | "$ssl_server_name")
    };
    let maps = nodes.iter().filter(of_handshake);
    let read = maps.filter_map(|node| Some((target(node).to_owned(), entries(node)?)));
    read.collect()
}

/// Names, each with an upstream; `None` if there are patterns among them.
fn entries(node: &Node) -> Option<Vec<(String, String)>> {
    let mut entries = Vec::new();
    for entry in &node.entries {
        match &entry[..] {
            [word] if word == "hostnames" => {}
            [name, _] if name.starts_with('~') => return None,
            [name, to] => {
                let domain = name.strip_prefix('.');
                let both = domain.map(|it| vec![it.to_owned(), format!("*.{it}")]);
                let names = both.unwrap_or_else(|| vec![name.clone()]);
                entries.extend(names.into_iter().map(|name| (name, to.clone())));
            }
            _ => return None,
        }
    }
    Some(entries)
}

const FIELDS: [(&str, Form, &str); 10] = [
    ("proxy_connect_timeout", Form::Time, "timeouts/connect"),
    ("proxy_timeout", Form::Time, "timeouts/idle"),
    ("preread_timeout", Form::Time, "timeouts/preread"),
    ("proxy_next_upstream_tries", Form::Number, "retry/tries"),
    ("proxy_next_upstream_timeout", Form::Time, "retry/timeout"),
    ("proxy_requests", Form::Number, "datagrams/requests"),
    ("proxy_responses", Form::Number, "datagrams/responses"),
    ("proxy_download_rate", Form::Word, "limits/download"),
    ("proxy_upload_rate", Form::Word, "limits/upload"),
    ("proxy_buffer_size", Form::Word, "buffer_size"),
];

impl<'n> Servers<'n> {
    fn block(&mut self, node: &'n Node, snippets: &mut Vec<Draft>, report: &mut Report) {
        let scope = self.scope.below(node.children());
        let Some(mut draft) = self.draft(&scope, node, report) else {
            return;
        };
        let mut leftover = Leftover::new(
            format!("{}-stream-server", draft.name),
            SnippetContext::StreamServer,
        );
        let mut said = vec!["listen", "proxy_pass", "return", "ssl_preread"];
        let mut may_serve = true;
        if ends_tls(&scope) {
            match tls::read(&scope, self.certificates, self.machine, &mut draft, report) {
                Tls::Said => {}
                Tls::Unprotected => may_serve = false,
                Tls::None => {
                    let reason = "it ends TLS, and has no certificate that can be read";
                    return report.lost(node, reason);
                }
            }
        }
        if scope.on("proxy_ssl") {
            let name = draft.name.clone();
            let mut keys = action::Keys {
                certificates: &mut *self.certificates,
                machine: self.machine,
                server: &name,
                report: &mut *report,
            };
            let authority = scope.word("proxy_pass").unwrap_or_default();
            if let Some(tls) = action::upstream_tls(&scope, "proxy", authority, &mut keys)
                && draft.set("upstream_tls", tls)
            {
                said.extend(action::UPSTREAM_TLS);
                said.push("proxy_ssl");
            }
        }
        let around = Around {
            zones: &self.zones,
            machine: self.machine,
            in_location: false,
            in_snippet: false,
        };
        let mut fields = Fields::of(&mut draft, "");
        said.extend(settings::of_stream(&scope, &around, &mut fields));
        for inner in scope.own() {
            let name = inner.name.as_str();
            let field = FIELDS.iter().find(|(directive, ..)| *directive == name);
            let set = match (field, &inner.arguments[..]) {
                _ if said.contains(&name) || tls::is_tls(name) => true,
                (Some((_, form, field)), _) => form
                    .read(inner)
                    .is_some_and(|value| fields.set(field, value)),
                (None, [word]) if name == "proxy_protocol" => {
                    fields.set("send_proxy_protocol", json!(word == "on"))
                }
                (None, [word]) if name == "proxy_next_upstream" && word == "off" => {
                    fields.set("retry/tries", json!(1))
                }
                (None, [zone, number]) if name == "limit_conn" => {
                    let of_clients = |zone: &Value| zone["key"] == json!("remote_addr");
                    let known = self.zones.connections.get(zone).is_some_and(of_clients);
                    let number = number.parse::<u64>();
                    known && number.is_ok_and(|it| fields.set("limits/connections", json!(it)))
                }
                _ => false,
            };
            if !set {
                may_serve &= leftover.take(inner, report);
            }
        }
        if !may_serve {
            return report.lost(node, "what protects it cannot be said, so it is left out");
        }
        attach(&mut draft, leftover, snippets, node, report);
        self.drafts.push(draft);
    }

    /// The server with its sockets and where sessions go; `None` if that cannot be
    /// said, which is told.
    fn draft(&mut self, scope: &Scope<'n>, node: &Node, report: &mut Report) -> Option<Draft> {
        let mut listens = Vec::new();
        let mut protocol = "tcp";
        for listen in scope.own().iter().filter(|it| it.name == "listen") {
            if listen.arguments.iter().any(|it| it == "udp") {
                protocol = "udp";
            }
            match Listen::parse(listen, false, report) {
                Some(parsed) => listens.push(parsed.of_stream()),
                None => report.lost(listen, "a socket is a port with or without an IP address"),
            }
        }
        let first = listens.first().and_then(|listen| listen["port"].as_u64());
        let name = format!("{protocol}-{}", first.unwrap_or_default());
        let name = self.names.take(&name);
        let mut spec = json!({ "protocol": protocol, "listen": listens });
        let goes = match (scope.find("proxy_pass"), scope.find("return")) {
            (Some(pass), _) => self.passed(pass.first()),
            (None, answer) => answer.map(|answer| ("respond", json!(answer.first()))),
        };
        let Some((field, value)) = goes else {
            report.lost(node, "whom it passes to cannot be said");
            return None;
        };
        spec[field] = value;
        let draft = Draft::new(ResourceKind::StreamServer, name, spec);
        if draft.resource().is_none() {
            report.lost(node, "where it listens or passes to cannot be said");
            return None;
        }
        Some(draft)
    }

    fn passed(&mut self, word: &str) -> Option<(&'static str, Value)> {
        let Some(variable) = word.strip_prefix('$') else {
            let upstream = self.upstreams.for_authority(word, false)?;
            return Some(("pass", json!(upstream)));
        };
        let entries = self.by_name.get(variable)?.clone();
        let mut routes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut others = None;
        for (name, word) in entries {
            let upstream = self.upstreams.for_authority(&word, false)?;
            if name == "default" {
                others = Some(upstream);
            } else {
                routes.entry(upstream).or_default().push(name);
            }
        }
        let routes: Vec<Value> = routes
            .into_iter()
            .map(|(upstream, names)| json!({ "server_names": names, "upstream": upstream }))
            .collect();
        let mut by_name = json!({ "routes": routes });
        if let Some(others) = others {
            by_name["others"] = json!(others);
        }
        Some(("by_name", by_name))
    }
}

fn ends_tls(scope: &Scope<'_>) -> bool {
    let mut listens = scope.own().iter().filter(|it| it.name == "listen");
    listens.any(|it| it.arguments.iter().any(|word| word == "ssl"))
}

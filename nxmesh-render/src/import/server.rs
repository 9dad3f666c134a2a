//! `server` blocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use nxmesh_core::{
    model::{Resource, ResourceKind},
    snippet::SnippetContext,
};
use serde_json::{Value, json};

use super::{
    Files,
    draft::{Draft, Leftover, Names},
    http::{Inherited, TLS, certificate},
    location,
    node::Node,
    report::Report,
    upstream::{Upstreams, attach},
};

/// The servers while they are read.
pub(super) struct Servers<'n> {
    files: &'n dyn Files,
    inherited: Inherited<'n>,
    upstreams: Upstreams,
    names: Names,
    drafts: Vec<Draft>,
    certificates: BTreeMap<(String, String), Draft>,
    certificate_names: Names,
    /// Sockets that have a default server already.
    defaults: BTreeSet<(String, u64)>,
}

impl<'n> Servers<'n> {
    pub(super) fn new(
        files: &'n dyn Files,
        inherited: Inherited<'n>,
        upstreams: Upstreams,
    ) -> Self {
        Self {
            files,
            inherited,
            upstreams,
            names: Names::default(),
            drafts: Vec::new(),
            certificates: BTreeMap::new(),
            certificate_names: Names::default(),
            defaults: BTreeSet::new(),
        }
    }

    pub(super) fn block(&mut self, node: &'n Node, snippets: &mut Vec<Draft>, report: &mut Report) {
        let server_names = server_names(node, report);
        let first = server_names.first().map_or("_", String::as_str);
        let name = self
            .names
            .take(if first == "_" { "default" } else { first });
        let spec = json!({ "server_names": server_names });
        let mut draft = Draft::new(ResourceKind::VirtualHost, name.clone(), spec);
        self.listens(node, &mut draft, report);
        self.tls(node, &mut draft, report);
        let inherited = self.inherited.below(node.children());
        let mut leftover = Leftover::new(format!("{name}-server"), SnippetContext::Server);
        for inner in node.children() {
            match inner.name.as_str() {
                "listen" | "server_name" | "location" | "http2" | "ssl" => {}
                "ssl_certificate" | "ssl_certificate_key" => {}
                covered if Inherited::covers(covered) => {}
                own if TLS.contains(&own) => {
                    report.replaced(inner, "the virtual host's TLS policy, intermediate");
                }
                "client_max_body_size" if draft.set("max_body_size", json!(inner.first())) => {}
                "add_header" => match location::response_header(inner) {
                    Some(header) if draft.push("response_headers", header.clone()) => {}
                    _ => leftover.take(inner, report),
                },
                "access_log" if inner.first() != "off" => {
                    report.replaced(inner, "requests are not logged to files");
                }
                "error_log" => report.replaced(inner, "the agent says where nginx logs errors"),
                _ => leftover.take(inner, report),
            }
        }
        let mut place = location::Place {
            host: name,
            inherited: &inherited,
            headers: node.children().iter().any(|it| it.name == "add_header"),
            upstreams: &mut self.upstreams,
            leftover: &mut leftover,
            snippets,
            report,
        };
        let mut has_root = false;
        for inner in node
            .children()
            .iter()
            .filter(|node| node.name == "location")
        {
            has_root |= inner.arguments == ["/"] || inner.arguments == ["^~", "/"];
            if let Some(location) = place.location(inner)
                && !draft.push("locations", location)
            {
                place
                    .report
                    .lost(inner, "the location is not what a virtual host can say");
            }
        }
        if !has_root && let Some(root) = inherited.root {
            let files = location::files(root.first(), inherited.index);
            let location = json!({ "path": "/", "static": files });
            if !draft.push("locations", location) {
                place
                    .report
                    .lost(root, "a root is an absolute path without variables");
            }
        }
        let locations = draft.spec.get("locations").and_then(Value::as_array);
        let files = locations.is_some_and(|all| all.iter().any(|it| it.get("static").is_some()));
        // NxMesh takes what it does not know for a stream of bytes.
        let media_type = inherited.default_type.map_or("text/plain", Node::first);
        if media_type != "application/octet-stream" && (files || !leftover.is_empty()) {
            leftover.add(&format!("default_type {media_type};\n"));
        }
        attach(&mut draft, leftover, snippets, node, report);
        self.drafts.push(draft);
    }

    /// nginx takes the first server of a socket for the default, unless one is
    /// marked; here the order of servers means nothing, so it is marked.
    fn listens(&mut self, node: &Node, draft: &mut Draft, report: &mut Report) {
        let http2 = node
            .children()
            .iter()
            .any(|it| it.name == "http2" && it.first() == "on");
        let mut listens: Vec<(Listen, &Node)> = Vec::new();
        for listen in node.children().iter().filter(|it| it.name == "listen") {
            match Listen::parse(listen, http2, report) {
                Some(parsed) => listens.push((parsed, listen)),
                None => report.lost(listen, "a socket is a port with or without an IP address"),
            }
        }
        if listens.is_empty() {
            let mut plain = Listen::default();
            plain.fields["port"] = json!(80);
            plain.address = "0.0.0.0".to_owned();
            listens.push((plain, node));
        }
        for (listen, node) in listens {
            let port = listen.fields["port"].as_u64().unwrap_or_default();
            let mut fields = listen.fields;
            fields["address"] = json!(listen.address);
            if self.defaults.insert((listen.address, port))
                || fields["default_server"] == json!(true)
            {
                fields["default_server"] = json!(true);
            }
            if !draft.push("listen", fields) {
                report.lost(node, "a parameter of it cannot be said");
            }
        }
        both_families(draft);
    }

    fn tls(&mut self, node: &Node, draft: &mut Draft, report: &mut Report) {
        let named = |name: &'static str| {
            let nodes = node.children().iter();
            nodes
                .filter(move |node| node.name == name)
                .map(move |node| (node, node.first()))
        };
        let mut chains = named("ssl_certificate");
        let Some((chain_node, chain)) = chains.next() else {
            return;
        };
        for (other, _) in chains {
            report.lost(other, "one certificate per virtual host is imported");
        }
        let Some((_, key)) = named("ssl_certificate_key").next() else {
            report.lost(chain_node, "there is no ssl_certificate_key beside it");
            return;
        };
        let paths = (chain.to_owned(), key.to_owned());
        let name = match self.certificates.get(&paths) {
            Some(known) => known.name.clone(),
            None => {
                let read = |path: &str| {
                    let bytes = self.files.read(Path::new(path))?;
                    String::from_utf8(bytes).ok()
                };
                let name = self.certificate_names.take(&draft.name);
                let (Some(chain), Some(key)) = (read(chain), read(key)) else {
                    let reason =
                        format!("its files cannot be read; import Certificate/{name} by hand");
                    report.lost(chain_node, reason);
                    return self.without_tls(draft);
                };
                let made = certificate(name.clone(), &chain, &key);
                if made.resource().is_none() {
                    report.lost(chain_node, "its files are no PEM chain and unencrypted key");
                    return self.without_tls(draft);
                }
                self.certificates.insert(paths, made);
                name
            }
        };
        let secure = draft.spec.get("listen").and_then(Value::as_array);
        if secure.is_some_and(|all| all.iter().any(|listen| listen["tls"] == json!(true))) {
            draft.set("tls", json!({ "certificate": name }));
        }
    }

    /// Without its certificate a server keeps its plain ports only.
    #[expect(clippy::unused_self, reason = "it reads as a step of the import")]
    fn without_tls(&self, draft: &mut Draft) {
        if let Some(Value::Array(listens)) = draft.spec.get_mut("listen") {
            listens.retain(|listen| listen["tls"] != json!(true));
        }
    }

    pub(super) fn into_resources(self) -> impl Iterator<Item = Resource> {
        let served = |draft: &Draft| draft.spec.get("listen") != Some(&json!([]));
        let hosts = self.drafts.into_iter().filter(served);
        let certificates = self.certificates.into_values();
        let own = hosts
            .chain(certificates)
            .filter_map(|draft| draft.resource());
        own.chain(self.upstreams.into_resources())
    }
}

fn server_names(node: &Node, report: &mut Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for node in node.children().iter().filter(|it| it.name == "server_name") {
        for name in &node.arguments {
            let meant = match name.strip_prefix('.') {
                Some(domain) => vec![domain.to_owned(), format!("*.{domain}")],
                None if name.is_empty() => vec!["_".to_owned()],
                None => vec![name.clone()],
            };
            for name in meant {
                if nxmesh_core::model::value::ServerName::parse(&name).is_err() {
                    report.lost(node, "it has a name that a virtual host cannot have");
                } else if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    if names.is_empty() {
        names.push("_".to_owned());
    }
    names
}

/// A socket.
struct Listen {
    address: String,
    fields: Value,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: String::new(),
            fields: json!({}),
        }
    }
}

impl Listen {
    fn parse(node: &Node, http2: bool, report: &mut Report) -> Option<Self> {
        let socket = node.first();
        let (address, port) = match socket.rsplit_once(':') {
            Some((address, port)) if !socket.ends_with(']') => (address, port),
            _ if socket.bytes().all(|byte| byte.is_ascii_digit()) => ("*", socket),
            _ => (socket, "80"),
        };
        let port: u16 = port.parse().ok()?;
        let address = match address.trim_matches(['[', ']']) {
            "*" | "0.0.0.0" => "0.0.0.0",
            other => other,
        };
        let mut listen = Self {
            address: address.to_owned(),
            fields: json!({ "port": port }),
        };
        for parameter in node.arguments.iter().skip(1) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match key {
                "ssl" => listen.fields["tls"] = json!(true),
                "http2" | "default_server" | "proxy_protocol" | "reuseport" => {
                    listen.fields[key] = json!(true);
                }
                "default" => listen.fields["default_server"] = json!(true),
                "backlog" => {
                    listen.fields[key] = value.parse::<u64>().map_or(Value::Null, Value::from)
                }
                "ipv6only" => {}
                _ => report.lost(node, format_args!("the parameter {key}")),
            }
        }
        if http2 && listen.fields["tls"] == json!(true) {
            listen.fields["http2"] = json!(true);
        }
        Some(listen)
    }
}

/// A port that is listened on for every IPv4 and every IPv6 address alike has
/// no address.
fn both_families(draft: &mut Draft) {
    let Some(Value::Array(listens)) = draft.spec.get("listen").cloned() else {
        return;
    };
    let mut joined: Vec<Value> = Vec::new();
    for listen in &listens {
        let with_address = |address: &str| {
            let mut other = listen.clone();
            other["address"] = json!(address);
            other
        };
        match listen["address"].as_str() {
            Some("0.0.0.0") if listens.contains(&with_address("::")) => {
                let mut both = listen.clone();
                if let Some(fields) = both.as_object_mut() {
                    fields.remove("address");
                }
                joined.push(both);
            }
            Some("::") if listens.contains(&with_address("0.0.0.0")) => {}
            _ => joined.push(listen.clone()),
        }
    }
    draft.set("listen", Value::Array(joined));
}

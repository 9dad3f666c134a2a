//! `server` blocks.

use std::collections::BTreeSet;

use nxmesh_core::{
    model::{Resource, ResourceKind},
    snippet::SnippetContext,
};
use serde_json::{Value, json};

use super::{
    action,
    draft::{Draft, Fields, Leftover, Names},
    files::Machine,
    fit::CLOSED,
    inherit::rooted,
    listen::{Listen, both_families},
    location::{Place, has_root, is_idle},
    node::Node,
    protect::guards,
    report::Report,
    scope::Scope,
    settings::{self, Around},
    tls::{self, Certificates, Tls},
    upstream::{Upstreams, attach},
    value::{Form, time},
    zones::Zones,
};

/// The servers while they are read.
pub(super) struct Servers<'n> {
    machine: &'n Machine<'n>,
    zones: &'n Zones,
    http: Scope<'n>,
    upstreams: Upstreams,
    names: Names,
    drafts: Vec<Draft>,
    certificates: &'n mut Certificates,
    /// Sockets that have a default server already, or one that is marked.
    defaults: BTreeSet<(String, u64)>,
    /// Names that a server of a socket has already.
    claimed: BTreeSet<(String, u64, String)>,
    /// Whether nothing that protects all servers is missing.
    is_open: bool,
}

impl<'n> Servers<'n> {
    pub(super) fn new(
        machine: &'n Machine<'n>,
        zones: &'n Zones,
        http: Scope<'n>,
        upstreams: Upstreams,
        certificates: &'n mut Certificates,
        is_open: bool,
    ) -> Self {
        let defaults = marked(&http);
        Self {
            machine,
            zones,
            http,
            upstreams,
            names: Names::default(),
            drafts: Vec::new(),
            certificates,
            defaults,
            claimed: BTreeSet::new(),
            is_open,
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
        let scope = self.http.below(node.children());
        self.listens(&scope, node, &mut draft, report);
        if !is_listened_to(&draft) {
            report.lost(node, "none of its sockets can be said, so it is left out");
            return;
        }
        if !self.claims(&mut draft) {
            let by = "nginx never comes to it: it has no name that no earlier server has";
            report.replaced(node, by);
            return;
        }
        let takes_no_handshake = scope.on("ssl_reject_handshake")
            && Fields::of(&mut draft, "").set("reject_handshake", json!(true));
        let mut may_serve = self.is_open;
        if listens_with_tls(&draft) {
            match tls::read(&scope, self.certificates, self.machine, &mut draft, report) {
                Tls::Said => {}
                Tls::Unprotected => may_serve = false,
                Tls::None if takes_no_handshake => {}
                Tls::None => {
                    report.lost(
                        node,
                        "its ports with TLS have no certificate that can be read",
                    );
                    keep_plain_ports(&mut draft);
                }
            }
        }
        if !is_listened_to(&draft) {
            return;
        }
        let before = snippets.len();
        let users = scope.word("auth_basic").is_some_and(|realm| realm != "off");
        let mut leftover =
            Leftover::new(format!("{name}-server"), SnippetContext::Server).among_users(users);
        // nginx answers so before it looks for a location, or at who gets in.
        let everything = action::everything(&scope).filter(|_| !guards(&scope));
        let answers_all = everything.is_some();
        may_serve &= self.settings(&scope, answers_all, &mut draft, &mut leftover, report);
        if let Some((field, answer)) = everything {
            let mut location = json!({ "path": "/" });
            location[field] = answer;
            draft.set("locations", json!([location]));
        } else {
            let place = Place {
                host: name,
                scope: &scope,
                machine: self.machine,
                zones: self.zones,
                upstreams: &mut self.upstreams,
                certificates: &mut *self.certificates,
                leftover: &mut leftover,
                snippets: &mut *snippets,
                report: &mut *report,
                typed_patterns: false,
            };
            may_serve &= place.locations(&mut draft);
            default_type(&scope, &draft, &mut leftover);
        }
        if may_serve {
            attach(&mut draft, leftover, snippets, node, report);
        } else {
            snippets.truncate(before);
            report.lost(node, CLOSED);
            let everything = json!([{ "path": "/", "respond": { "status": 503 } }]);
            draft.spec.insert("locations".to_owned(), everything);
        }
        self.drafts.push(draft);
    }

    /// Takes names away that earlier servers of the same sockets have: nginx warns of
    /// them and goes on. Whether a request can still come to the server.
    fn claims(&mut self, draft: &mut Draft) -> bool {
        let listens = draft.spec.get("listen").and_then(Value::as_array);
        let listens = listens.cloned().unwrap_or_default();
        let sockets: Vec<(String, u64)> = listens
            .iter()
            .flat_map(|listen| {
                let port = listen["port"].as_u64().unwrap_or_default();
                let own = listen["address"].as_str();
                let addresses = own.map_or(vec!["0.0.0.0", "::"], |own| vec![own]);
                addresses.into_iter().map(move |it| (it.to_owned(), port))
            })
            .collect();
        let names = draft.spec.get("server_names").and_then(Value::as_array);
        let names = names.into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<String> = names
            .map(|name| match name.starts_with('~') {
                true => name.to_owned(),
                false => name.to_lowercase(),
            })
            .collect();
        let is_default = listens.iter().any(|it| it["default_server"] == json!(true));
        let mut kept = Vec::new();
        for name in names {
            if name == "_" && !is_default {
                continue;
            }
            let claim = |(address, port): &(String, u64)| (address.clone(), *port, name.clone());
            if sockets.iter().all(|it| self.claimed.contains(&claim(it))) {
                continue;
            }
            self.claimed.extend(sockets.iter().map(claim));
            kept.push(name);
        }
        let reachable = !kept.is_empty();
        if reachable {
            draft.spec.insert("server_names".to_owned(), json!(kept));
        }
        reachable || is_default
    }

    /// nginx takes the first server of a socket for the default, unless another is
    /// marked; here the order of servers means nothing, so one is always marked.
    fn listens(
        &mut self,
        scope: &Scope<'_>,
        server: &Node,
        draft: &mut Draft,
        report: &mut Report,
    ) {
        let http2 = scope.on("http2");
        let mut listens: Vec<(Listen, &Node)> = Vec::new();
        for listen in scope.own().iter().filter(|it| it.name == "listen") {
            match Listen::parse(listen, http2, report) {
                Some(parsed) => listens.push((parsed, listen)),
                None => report.lost(listen, "a socket is a port with or without an IP address"),
            }
        }
        if listens.is_empty() && !scope.has("listen") {
            let mut plain = Listen::default();
            plain.fields["port"] = json!(80);
            plain.address = "0.0.0.0".to_owned();
            listens.push((plain, server));
        }
        for (listen, node) in with_quic(listens, report) {
            let is_default = self.defaults.insert(listen.socket()) || listen.is_marked();
            let mut fields = listen.fields;
            fields["address"] = json!(listen.address);
            if is_default {
                fields["default_server"] = json!(true);
            }
            // A port with TLS waits for its certificate.
            if !draft.push_ahead("listen", fields) {
                report.lost(node, "a parameter of it cannot be said");
            }
        }
        both_families(draft);
    }

    /// What the server says of all its requests. Whether nothing that protects it is
    /// missing.
    fn settings(
        &self,
        scope: &Scope<'n>,
        answers_all: bool,
        draft: &mut Draft,
        leftover: &mut Leftover,
        report: &mut Report,
    ) -> bool {
        let around = Around {
            zones: self.zones,
            machine: self.machine,
            in_location: false,
            in_snippet: false,
        };
        let mut fields = Fields::of(draft, "");
        let mut said = settings::read(scope, &around, &mut fields);
        settings::inherited_log(scope, &around, &mut fields);
        let mut may_serve = settings::inherited_people(scope, &around, &mut fields);
        settings::report_people(scope, &around, report);
        said.extend(real_ip(scope, &mut fields));
        if let Some(headers) = settings::response_headers(scope.own())
            && fields.set("response_headers", headers)
        {
            said.push("add_header");
        }
        for node in scope.own() {
            match node.name.as_str() {
                "listen" | "server_name" | "location" | "http2" | "http3" | "ssl" => {}
                "ssl_reject_handshake" => {}
                "root" | "index" | "default_type" | "proxy_set_header" => {}
                "return" if answers_all => {}
                "try_files" if !has_root(scope) => {}
                name if said.contains(&name) => {}
                name if tls::is_tls(name) => {}
                "error_log" => report.replaced(node, "the agent says where nginx logs errors"),
                _ if client(node, &mut fields) || is_idle(node, scope) => {}
                _ => may_serve &= leftover.take(&rooted(node, scope), report),
            }
        }
        may_serve
    }

    /// Whether the log of the `http` block, if it has one, can be said by hosts.
    pub(super) fn logs_as_http(&self) -> bool {
        let around = Around {
            zones: self.zones,
            machine: self.machine,
            in_location: false,
            in_snippet: false,
        };
        settings::access_log(&self.http, &around).is_some()
    }

    /// The upstreams.
    pub(super) const fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    pub(super) fn into_resources(self) -> impl Iterator<Item = Resource> {
        let hosts = self.drafts.into_iter().filter(is_listened_to);
        let own = hosts.filter_map(|draft| draft.resource());
        own.chain(self.upstreams.into_resources())
    }
}

/// HTTP/3 is a field of the TLS port with the same number, where there is one.
fn with_quic<'n>(listens: Vec<(Listen, &'n Node)>, report: &mut Report) -> Vec<(Listen, &'n Node)> {
    let (quic, mut others): (Vec<_>, Vec<_>) = listens
        .into_iter()
        .partition(|(listen, _)| listen.fields["http3"] == json!(true));
    for (listen, node) in quic {
        let same = |it: &Listen| {
            let tls = it.fields["tls"] == json!(true);
            tls && it.address == listen.address && it.fields["port"] == listen.fields["port"]
        };
        match others.iter_mut().find(|(other, _)| same(other)) {
            Some((other, _)) => other.fields["http3"] = json!(true),
            None => report.lost(node, "HTTP/3 needs a port with TLS of the same number"),
        }
    }
    others
}

/// Sockets of which a server is marked as the default.
fn marked(http: &Scope<'_>) -> BTreeSet<(String, u64)> {
    let servers = http.own().iter().filter(|node| node.name == "server");
    let listens = servers
        .flat_map(Node::children)
        .filter(|node| node.name == "listen");
    // What is wrong with them is told when their servers are read.
    let sockets = listens.filter_map(|node| Listen::parse(node, false, &mut Report::default()));
    let marked = sockets.filter(Listen::is_marked);
    marked.map(|listen| listen.socket()).collect()
}

/// Without a socket the document would mean port 80.
fn is_listened_to(draft: &Draft) -> bool {
    let listens = draft.spec.get("listen").and_then(Value::as_array);
    listens.is_some_and(|all| !all.is_empty())
}

fn listens_with_tls(draft: &Draft) -> bool {
    let listens = draft.spec.get("listen").and_then(Value::as_array);
    listens.is_some_and(|all| all.iter().any(|listen| listen["tls"] == json!(true)))
}

/// All that is left of a server without its certificate.
fn keep_plain_ports(draft: &mut Draft) {
    if let Some(Value::Array(listens)) = draft.spec.get_mut("listen") {
        listens.retain(|listen| listen["tls"] != json!(true));
    }
}

/// NxMesh takes what it does not know for a stream of bytes.
fn default_type(scope: &Scope<'_>, draft: &Draft, leftover: &mut Leftover) {
    let locations = draft.spec.get("locations").and_then(Value::as_array);
    let files = locations.is_some_and(|all| all.iter().any(|it| it.get("static").is_some()));
    let media_type = scope.word("default_type").unwrap_or("text/plain");
    if media_type != "application/octet-stream" && (files || !leftover.is_empty()) {
        leftover.add(&format!("default_type {media_type};\n"));
    }
}

/// Settings of connections and of nginx itself, which only a server has.
const CLIENT: [(&str, Form, &str); 11] = [
    ("client_header_timeout", Form::Time, "client/header_timeout"),
    (
        "client_header_buffer_size",
        Form::Word,
        "client/header_buffer",
    ),
    (
        "ignore_invalid_headers",
        Form::Switch,
        "client/ignore_invalid_headers",
    ),
    (
        "underscores_in_headers",
        Form::Switch,
        "client/underscores_in_headers",
    ),
    ("client_body_timeout", Form::Time, "client/body_timeout"),
    ("client_body_buffer_size", Form::Word, "client/body_buffer"),
    ("send_timeout", Form::Time, "client/send_timeout"),
    (
        "keepalive_requests",
        Form::Number,
        "client/keepalive/requests",
    ),
    ("keepalive_time", Form::Time, "client/keepalive/time"),
    ("merge_slashes", Form::Switch, "client/merge_slashes"),
    (
        "reset_timedout_connection",
        Form::Switch,
        "client/reset_timed_out",
    ),
];

/// Sets the field for a directive, if there is one.
fn client(node: &Node, fields: &mut Fields<'_>) -> bool {
    let name = node.name.as_str();
    if let Some((_, form, field)) = CLIENT.iter().find(|(directive, ..)| *directive == name) {
        return form
            .read(node)
            .is_some_and(|value| fields.set(field, value));
    }
    match (name, &node.arguments[..]) {
        ("keepalive_timeout", [timeout]) => {
            fields.set("client/keepalive/timeout", json!(time(timeout)))
        }
        ("large_client_header_buffers", [number, size]) => {
            number.parse::<u64>().is_ok_and(|number| {
                let large = json!({ "number": number, "size": size });
                fields.set("client/large_headers", large)
            })
        }
        ("server_tokens", [word]) => {
            let tokens = match word.as_str() {
                "on" => "version",
                "off" => "name",
                other => other,
            };
            fields.set("server_tokens", json!(tokens))
        }
        _ => false,
    }
}

/// Where the client's address comes from.
fn real_ip(scope: &Scope<'_>, fields: &mut Fields<'_>) -> Vec<&'static str> {
    const NAMES: [&str; 3] = ["set_real_ip_from", "real_ip_header", "real_ip_recursive"];
    if !NAMES.iter().any(|name| scope.has(name)) {
        return Vec::new();
    }
    let trusted = scope.all("set_real_ip_from");
    let trusted: Vec<&str> = trusted.iter().map(|node| node.first()).collect();
    // nginx's default is X-Real-IP.
    let from = match scope.word("real_ip_header").unwrap_or("X-Real-IP") {
        header if header.eq_ignore_ascii_case("X-Real-IP") => json!("x_real_ip"),
        header if header.eq_ignore_ascii_case("X-Forwarded-For") => json!("x_forwarded_for"),
        "proxy_protocol" => json!("proxy_protocol"),
        header => json!({ "header": header }),
    };
    let recursive = scope.on("real_ip_recursive");
    let field = json!({ "trusted": trusted, "from": from, "recursive": recursive });
    if fields.set("real_ip", field) {
        NAMES.to_vec()
    } else {
        Vec::new()
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

//! Where servers listen, and by which names they are asked for there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    draft::Draft,
    listen::{Listen, both_families},
    node::Node,
    report::Report,
    scope::Scope,
};

/// What the servers that were read listen to.
pub(super) struct Sockets {
    /// Sockets that have a default server already, or one that is marked.
    defaults: BTreeSet<(String, u64)>,
    /// Names that a server of a socket has already.
    claimed: BTreeSet<(String, u64, String)>,
}

impl Sockets {
    /// Before any server of the block is read.
    pub(super) fn of(http: &Scope<'_>) -> Self {
        Self {
            defaults: marked(http),
            claimed: BTreeSet::new(),
        }
    }

    /// Takes names away that earlier servers of the same sockets have: nginx warns of
    /// them and goes on. Whether a request can still come to the server.
    pub(super) fn claims(&mut self, draft: &mut Draft) -> bool {
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
    pub(super) fn listens(
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
            if fields["http2"] == json!(true) && fields["tls"] != json!(true) {
                report.lost(node, "HTTP/2 without TLS");
                fields["http2"] = json!(false);
            }
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
}

/// The names of a server, `_` where it has none.
pub(super) fn server_names(node: &Node, report: &mut Report) -> Vec<String> {
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
pub(super) fn is_listened_to(draft: &Draft) -> bool {
    let listens = draft.spec.get("listen").and_then(Value::as_array);
    listens.is_some_and(|all| !all.is_empty())
}

pub(super) fn listens_with_tls(draft: &Draft) -> bool {
    let listens = draft.spec.get("listen").and_then(Value::as_array);
    listens.is_some_and(|all| all.iter().any(|listen| listen["tls"] == json!(true)))
}

/// All that is left of a server without its certificate.
pub(super) fn keep_plain_ports(draft: &mut Draft) {
    if let Some(Value::Array(listens)) = draft.spec.get_mut("listen") {
        listens.retain(|listen| listen["tls"] != json!(true));
    }
}

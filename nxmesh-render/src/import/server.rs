//! `server` blocks.

use nxmesh_core::{
    model::{Resource, ResourceKind},
    snippet::SnippetContext,
};
use serde_json::{Value, json};

use super::{
    action, client,
    draft::{Draft, Fields, Leftover, Names},
    files::Machine,
    fit::CLOSED,
    inherit::rooted,
    location::{Place, has_root, is_idle},
    node::Node,
    protect::guards,
    report::Report,
    scope::Scope,
    settings::{self, Around},
    sockets::{Sockets, is_listened_to, keep_plain_ports, listens_with_tls, server_names},
    tls::{self, Certificates, Tls},
    upstream::{Upstreams, attach},
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
    sockets: Sockets,
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
        let sockets = Sockets::of(&http);
        Self {
            machine,
            zones,
            http,
            upstreams,
            names: Names::default(),
            drafts: Vec::new(),
            certificates,
            sockets,
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
        self.sockets.listens(&scope, node, &mut draft, report);
        if !is_listened_to(&draft) {
            report.lost(node, "none of its sockets can be said, so it is left out");
            return;
        }
        if !self.sockets.claims(&mut draft) {
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
        said.extend(client::real_ip(scope, &mut fields));
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
                _ if client::set(node, &mut fields) || is_idle(node, scope) => {}
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

/// NxMesh takes what it does not know for a stream of bytes.
fn default_type(scope: &Scope<'_>, draft: &Draft, leftover: &mut Leftover) {
    let locations = draft.spec.get("locations").and_then(Value::as_array);
    let files = locations.is_some_and(|all| all.iter().any(|it| it.get("static").is_some()));
    let media_type = scope.word("default_type").unwrap_or("text/plain");
    if media_type != "application/octet-stream" && (files || !leftover.is_empty()) {
        leftover.add(&format!("default_type {media_type};\n"));
    }
}

//! The `http` block: its upstreams, its servers, and what holds for all.

use nxmesh_core::{
    model::{Resource, ResourceKind},
    snippet::SnippetContext,
};
use serde_json::json;

use super::{
    Files,
    draft::{Draft, Leftover},
    node::Node,
    report::Report,
    server::Servers,
    upstream::Upstreams,
};

/// What holds at the level of `http` and is inherited by servers that do not
/// say otherwise.
#[derive(Debug, Default)]
pub(super) struct Inherited<'n> {
    pub(super) root: Option<&'n Node>,
    pub(super) index: Option<&'n Node>,
    pub(super) default_type: Option<&'n Node>,
    /// Where a level has one of these, it has none of those above it.
    pub(super) request_headers: Vec<&'n Node>,
}

impl<'n> Inherited<'n> {
    /// What holds below a block with these directives.
    pub(super) fn below(&self, nodes: &'n [Node]) -> Self {
        let named = |name: &'static str| nodes.iter().filter(move |node| node.name == name);
        let own: Vec<&Node> = named("proxy_set_header").collect();
        Self {
            root: named("root").next_back().or(self.root),
            index: named("index").next_back().or(self.index),
            default_type: named("default_type").next_back().or(self.default_type),
            request_headers: if own.is_empty() {
                self.request_headers.clone()
            } else {
                own
            },
        }
    }

    /// Whether a directive is taken into account where it is inherited.
    pub(super) fn covers(name: &str) -> bool {
        matches!(name, "root" | "index" | "default_type" | "proxy_set_header")
    }
}

/// Makes resources of a whole configuration.
pub(super) fn import(nodes: &[Node], files: &dyn Files, report: &mut Report) -> Vec<Resource> {
    let mut resources = Vec::new();
    for node in nodes {
        match node.name.as_str() {
            "http" => resources.extend(http(node, files, report)),
            "events"
            | "user"
            | "pid"
            | "worker_processes"
            | "error_log"
            | "daemon"
            | "load_module"
            | "worker_rlimit_nofile"
            | "worker_cpu_affinity"
            | "pcre_jit"
            | "env" => {
                report.replaced(node, "the process is the agent's: its settings say this");
            }
            _ => report.lost(node, "only the http block is imported"),
        }
    }
    resources
}

fn http(node: &Node, files: &dyn Files, report: &mut Report) -> Vec<Resource> {
    let nodes = node.children();
    let mut upstreams = Upstreams::default();
    let mut snippets: Vec<Draft> = Vec::new();
    for node in nodes.iter().filter(|node| node.name == "upstream") {
        upstreams.block(node, &mut snippets, report);
    }
    let inherited = Inherited::default().below(nodes);
    let mut servers = Servers::new(files, inherited, upstreams);
    for node in nodes.iter().filter(|node| node.name == "server") {
        servers.block(node, &mut snippets, report);
    }
    let mut leftover = Leftover::new("imported-http".to_owned(), SnippetContext::Http);
    for node in nodes {
        let name = node.name.as_str();
        if matches!(name, "upstream" | "server") || Inherited::covers(name) {
            continue;
        }
        match own(name) {
            Some(by) => report.replaced(node, by),
            None => leftover.take(node, report),
        }
    }
    snippets.extend(leftover.draft());
    let snippets = snippets.into_iter().filter_map(|draft| draft.resource());
    servers.into_resources().chain(snippets).collect()
}

/// What NxMesh says itself in the `http` block; a second time is an error of nginx.
fn own(name: &str) -> Option<&'static str> {
    Some(match name {
        "types" | "types_hash_max_size" | "types_hash_bucket_size" => {
            "there is one list of media types, see the agent's settings"
        }
        "sendfile"
        | "tcp_nopush"
        | "variables_hash_max_size"
        | "server_names_hash_max_size"
        | "server_names_hash_bucket_size" => "NxMesh sets it",
        "access_log" => "requests are not logged unless a virtual host says so",
        "error_log" => "the agent says where nginx logs errors",
        name if name.ends_with("_temp_path") => "the agent has a folder for them",
        name if TLS.contains(&name) => "the TLS policy of each virtual host says this",
        _ => return None,
    })
}

/// What a TLS policy says.
pub(super) const TLS: [&str; 7] = [
    "ssl_protocols",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "ssl_ecdh_curve",
    "ssl_session_timeout",
    "ssl_session_cache",
    "ssl_session_tickets",
];

/// A Certificate made of two files.
pub(super) fn certificate(name: String, chain: &str, key: &str) -> Draft {
    let spec = json!({ "certificate": chain, "private_key": key });
    Draft::new(ResourceKind::Certificate, name, spec)
}

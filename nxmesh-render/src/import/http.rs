//! The `http` block: its upstreams, its servers, and what holds for all.

use std::collections::BTreeSet;

use nxmesh_core::{
    check::mixed_connections,
    model::{KeepaliveLimits, Resource, ResourceSet},
    snippet::SnippetContext,
};

use super::{
    draft::{Draft, Leftover, Names},
    files::Machine,
    node::Node,
    report::Report,
    scope::Scope,
    server::Servers,
    tls::{Certificates, is_tls},
    upstream::Upstreams,
    zones::Zones,
};

/// Makes resources of the block.
pub(super) fn import<'n>(
    node: &'n Node,
    machine: &'n Machine<'n>,
    names: &Names,
    certificates: &'n mut Certificates,
    report: &mut Report,
) -> Vec<Resource> {
    let nodes = node.children();
    let zones = Zones::read(nodes);
    let mut upstreams = Upstreams::new(names);
    let mut snippets: Vec<Draft> = Vec::new();
    for node in nodes.iter().filter(|node| node.name == "upstream") {
        upstreams.block(node, nodes, &mut snippets, report);
    }
    let scope = Scope::new(nodes);
    let is_open = is_open(&scope);
    let mut servers = Servers::new(machine, &zones, scope, upstreams, certificates, is_open);
    for node in nodes.iter().filter(|node| node.name == "server") {
        servers.block(node, &mut snippets, report);
    }
    let mut leftover = Leftover::new("imported-http".to_owned(), SnippetContext::Http);
    let mut pools = Leftover::new("imported-pools".to_owned(), SnippetContext::Http);
    let mut passed = BTreeSet::new();
    node.passes_to(&mut passed);
    let own_text: Vec<String> = nodes
        .iter()
        .filter(|it| is_inherited(it))
        .map(Node::text)
        .collect();
    let named: BTreeSet<String> = {
        let of_snippets = snippets
            .iter()
            .filter_map(|it| it.spec.get("directives")?.as_str());
        let texts = of_snippets.chain(own_text.iter().map(String::as_str));
        words(texts).into_iter().map(str::to_owned).collect()
    };
    for node in nodes {
        let name = node.name.as_str();
        if name == "access_log" && !servers.logs_as_http() {
            report.lost(
                node,
                "a virtual host logs to one place, without a condition",
            );
            continue;
        }
        if matches!(name, "upstream" | "server") || is_counted(name) {
            continue;
        }
        if let Some(zone) = Zones::defines(node)
            && !named.contains(zone)
        {
            report.replaced(node, "who refers to it says this itself");
            continue;
        }
        match own(name) {
            Some(by) => report.replaced(node, by),
            // In a Snippet of their own: in it every such value is the name of an upstream.
            None if node
                .arguments
                .last()
                .is_some_and(|it| passed.contains(&**it)) =>
            {
                pools.take(node, report);
            }
            None => {
                leftover.take(node, report);
            }
        }
    }
    snippets.extend(leftover.draft());
    snippets.extend(pools.draft());
    for snippet in &mut snippets {
        let passes = |variable: &str| passed.contains(variable);
        servers.upstreams().name_in(snippet, passes);
    }
    let called: Vec<(String, &Node)> = nodes
        .iter()
        .filter(|node| node.name == "upstream")
        .filter_map(|node| Some((servers.upstreams().called(node.first())?, node)))
        .collect();
    let snippets = snippets.into_iter().filter_map(|draft| draft.resource());
    let resources = servers.into_resources().chain(snippets).collect();
    kept_apart(resources, &called, report)
}

/// Upstreams keep no connections where those who ask them would get each other's, though
/// they speak with it in other ways.
fn kept_apart(
    resources: Vec<Resource>,
    called: &[(String, &Node)],
    report: &mut Report,
) -> Vec<Resource> {
    let mut resources: ResourceSet = resources.into_iter().collect();
    let mixed = mixed_connections(&resources).into_iter();
    for name in mixed.map(|(name, _)| name).collect::<BTreeSet<_>>() {
        let Some(mut upstream) = resources.upstream(&name).cloned() else {
            continue;
        };
        let spec = &mut upstream.spec;
        let kept = spec.keepalive.replace(0).is_some();
        spec.keepalive_limits = KeepaliveLimits::default();
        let node = called.iter().find(|(own, _)| name.as_str() == own);
        if let Some((_, node)) = node.filter(|_| kept) {
            let inner = node.children().iter().find(|it| it.name == "keepalive");
            report.lost(
                inner.unwrap_or(node),
                "one who asks it would be given connections that were made for another: they \
                 speak with it in different ways; let each have an upstream of its own",
            );
        }
        resources.insert(Resource::from(upstream));
    }
    let all = resources.iter();
    all.map(|(_, it)| Resource::clone(it)).collect()
}

/// Whether a directive stands in the block for all servers, and may refer to a zone.
fn is_inherited(node: &Node) -> bool {
    let name = node.name.as_str();
    let block = matches!(name, "server" | "upstream");
    !block && !is_counted(name) && Zones::defines(node).is_none()
}

/// Whether nothing that protects all servers is missing in what stays a Snippet.
fn is_open(http: &Scope<'_>) -> bool {
    let mut tried = Leftover::new(String::new(), SnippetContext::Http);
    let mut others = http
        .own()
        .iter()
        .filter(|node| is_inherited(node) && own(&node.name).is_none());
    others.all(|node| tried.take(node, &mut Report::default()))
}

/// Whether servers take a directive of this block into account.
fn is_counted(name: &str) -> bool {
    matches!(
        name,
        "root"
            | "index"
            | "default_type"
            | "proxy_set_header"
            | "access_log"
            | "auth_basic"
            | "auth_basic_user_file"
    )
}

/// The words of all that stays a Snippet, by which it may refer to a zone. A word
/// that only looks like a name is taken for it.
fn words<'t>(texts: impl Iterator<Item = &'t str>) -> BTreeSet<&'t str> {
    let apart = |c: char| c.is_whitespace() || matches!(c, ';' | '=' | ':' | '/' | '"' | '\'');
    texts.flat_map(|text| text.split(apart)).collect()
}

/// What NxMesh says itself in the `http` block; a second time is an error of nginx.
fn own(name: &str) -> Option<&'static str> {
    Some(match name {
        "types" => "media_types of NginxSettings says it, or nginx.conf where that stays",
        "types_hash_max_size"
        | "types_hash_bucket_size"
        | "sendfile"
        | "tcp_nopush"
        | "variables_hash_max_size"
        | "server_names_hash_max_size"
        | "server_names_hash_bucket_size" => "NxMesh sets it",
        "error_log" => "the agent says where nginx logs errors",
        name if name.ends_with("_temp_path") => "the agent has a folder for them",
        name if is_tls(name) => "each virtual host says this itself",
        _ => return None,
    })
}

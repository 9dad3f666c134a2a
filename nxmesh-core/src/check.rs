//! What single values cannot say: rules within a document and between documents.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    document::Problem,
    model::{
        Balance, Listen, Resource, ResourceKey, ResourceKind, ResourceSet, UpstreamSpec,
        VirtualHostSpec, value::ServerName,
    },
};

/// Resources that were checked together and may be stored and rendered.
/// Cannot be made any other way than by [`check`].
#[derive(Debug, Clone)]
pub struct Checked(ResourceSet);

impl Checked {
    /// The resources.
    #[must_use]
    pub const fn resources(&self) -> &ResourceSet {
        &self.0
    }

    /// Gives the resources back.
    #[must_use]
    pub fn into_resources(self) -> ResourceSet {
        self.0
    }
}

/// Checks the resources of one workspace: each by itself, their references,
/// and that no two virtual hosts claim the same name on the same address for
/// agents they may share.
///
/// # Errors
///
/// Every problem found; at least one.
pub fn check(resources: ResourceSet) -> Result<Checked, Vec<Problem>> {
    let mut problems: Vec<Problem> = resources
        .iter()
        .flat_map(|(_, resource)| document(resource))
        .collect();
    problems.extend(references(&resources));
    problems.extend(claims(&resources));
    if problems.is_empty() {
        Ok(Checked(resources))
    } else {
        Err(problems)
    }
}

/// Checks one document by itself.
#[must_use]
pub fn document(resource: &Resource) -> Vec<Problem> {
    let mut found = Vec::new();
    match resource {
        Resource::VirtualHost(host) => virtual_host(&host.spec, &mut found),
        Resource::Upstream(upstream) => self::upstream(&upstream.spec, &mut found),
        Resource::Certificate(_) => {}
    }
    let key = resource.key();
    found
        .into_iter()
        .map(|(pointer, message)| Problem::new(&key, pointer, &message))
        .collect()
}

type Found = Vec<(String, String)>;

fn virtual_host(spec: &VirtualHostSpec, found: &mut Found) {
    let mut say = |pointer: String, message: &str| found.push((pointer, message.to_owned()));
    if spec.server_names.is_empty() {
        say(
            "/spec/server_names".into(),
            "a virtual host has at least one server name, for example shop.example.com",
        );
    }
    if spec.listen.is_empty() {
        say(
            "/spec/listen".into(),
            "a virtual host listens on at least one port, for example { port: 80 }",
        );
    }
    let mut names = BTreeSet::new();
    for (index, name) in spec.server_names.iter().enumerate() {
        if !names.insert(name) {
            say(
                format!("/spec/server_names/{index}"),
                "a server name is written once per virtual host",
            );
        }
    }
    let mut addresses = BTreeSet::new();
    for (index, listen) in spec.listen.iter().enumerate() {
        let at = format!("/spec/listen/{index}");
        if !addresses.insert((listen.address, listen.port)) {
            say(
                at.clone(),
                "an address and port is written once per virtual host",
            );
        }
        if listen.tls && spec.tls.is_none() {
            say(
                at.clone(),
                "a TLS port needs spec.tls, for example tls: { certificate: shop-cert }",
            );
        }
        if listen.http2 && !listen.tls {
            say(
                at,
                "http2 needs tls on the same port, for example { port: 443, tls: true, http2: true }",
            );
        }
    }
    if let Some(tls) = &spec.tls {
        if !spec.listen.iter().any(|listen| listen.tls) {
            say(
                "/spec/tls".into(),
                "spec.tls needs a port with tls, for example listen: [{ port: 443, tls: true }]",
            );
        }
        if tls.redirect_http && spec.listen.iter().all(|listen| listen.tls) {
            say(
                "/spec/tls/redirect_http".into(),
                "redirect_http needs a port without tls, for example listen: [{ port: 80 }, { port: 443, tls: true }]",
            );
        }
    }
    let mut paths = BTreeSet::new();
    for (index, location) in spec.locations.iter().enumerate() {
        // nginx refuses a prefix and a priority prefix of the same path as duplicates.
        let kind = match location.path {
            crate::model::PathMatch::Exact(_) => 0,
            crate::model::PathMatch::Prefix(_) | crate::model::PathMatch::PrefixPriority(_) => 1,
            crate::model::PathMatch::Regex(_) => 2,
            crate::model::PathMatch::RegexIgnoreCase(_) => 3,
        };
        if !paths.insert((kind, location.path.as_str())) {
            say(
                format!("/spec/locations/{index}/path"),
                "a path is written once per virtual host and kind of match",
            );
        }
    }
}

fn upstream(spec: &UpstreamSpec, found: &mut Found) {
    let mut say = |pointer: String, message: &str| found.push((pointer, message.to_owned()));
    if !spec.servers.iter().any(|server| !server.backup) {
        say(
            "/spec/servers".into(),
            "an upstream has at least one server that is not a backup, for example { address: \"10.0.0.11:8080\" }",
        );
    }
    if spec
        .keepalive
        .is_some_and(|connections| !(1..=10_000).contains(&connections))
    {
        say(
            "/spec/keepalive".into(),
            "keepalive is 1 to 10000 connections, for example 64",
        );
    }
    let by_turn = matches!(spec.balance, Balance::RoundRobin | Balance::LeastConn);
    let mut addresses = BTreeSet::new();
    for (index, server) in spec.servers.iter().enumerate() {
        if server.weight == Some(0) {
            say(
                format!("/spec/servers/{index}/weight"),
                "a weight is 1 to 65535, for example 3",
            );
        }
        if server.backup && !by_turn {
            say(
                format!("/spec/servers/{index}/backup"),
                "backups are possible with round_robin and least_conn only",
            );
        }
        if !addresses.insert(&server.address) {
            say(
                format!("/spec/servers/{index}/address"),
                "a server is written once per upstream",
            );
        }
    }
}

fn references(resources: &ResourceSet) -> Vec<Problem> {
    let mut problems = Vec::new();
    for host in resources.virtual_hosts() {
        let owner = ResourceKey {
            kind: ResourceKind::VirtualHost,
            name: host.metadata.name.clone(),
        };
        for (pointer, target) in references_of(&host.spec) {
            if resources.get(&target).is_none() {
                let rule = format!(
                    "{target} is not in workspace {}; apply it together with this",
                    host.metadata.workspace
                );
                problems.push(Problem::new(&owner, pointer, &rule));
            }
        }
    }
    problems
}

/// What a virtual host refers to, each with the JSON pointer of the reference.
#[must_use]
pub fn references_of(spec: &VirtualHostSpec) -> Vec<(String, ResourceKey)> {
    let mut references = Vec::new();
    if let Some(tls) = &spec.tls {
        let target = ResourceKey {
            kind: ResourceKind::Certificate,
            name: tls.certificate.clone(),
        };
        references.push(("/spec/tls/certificate".to_owned(), target));
    }
    for (index, location) in spec.locations.iter().enumerate() {
        if let crate::model::Action::Proxy(proxy) = &location.action {
            let target = ResourceKey {
                kind: ResourceKind::Upstream,
                name: proxy.upstream.clone(),
            };
            references.push((format!("/spec/locations/{index}/proxy/upstream"), target));
        }
    }
    references
}

/// Two virtual hosts may share agents unless their selectors are the same
/// label with values that exclude each other; only the clear cases are told
/// apart, the rest counts as shared.
fn claims(resources: &ResourceSet) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut by_name: BTreeMap<
        (&ServerName, u16),
        Vec<(&crate::model::VirtualHost, &Listen, usize)>,
    > = BTreeMap::new();
    let mut defaults: BTreeMap<u16, Vec<(&crate::model::VirtualHost, &Listen, usize)>> =
        BTreeMap::new();
    let mut plain_or_tls: BTreeMap<u16, Vec<(&crate::model::VirtualHost, &Listen, usize)>> =
        BTreeMap::new();
    for host in resources.virtual_hosts() {
        for (listen_index, listen) in host.spec.listen.iter().enumerate() {
            for (index, name) in host.spec.server_names.iter().enumerate() {
                by_name
                    .entry((name, listen.port.get()))
                    .or_default()
                    .push((host, listen, index));
            }
            if listen.default_server {
                defaults
                    .entry(listen.port.get())
                    .or_default()
                    .push((host, listen, listen_index));
            }
            plain_or_tls
                .entry(listen.port.get())
                .or_default()
                .push((host, listen, listen_index));
        }
    }
    let mut clash = |group: &[(&crate::model::VirtualHost, &Listen, usize)],
                     differ: fn(&Listen, &Listen) -> bool,
                     tell: &dyn Fn(usize, &str) -> (String, String)| {
        // A group is the claims on one name and port: short, but for hostile input.
        for (position, (host, listen, index)) in group.iter().enumerate() {
            let earlier = group[..position]
                .iter()
                .take(100)
                .find(|(other, theirs, _)| {
                    other.metadata.name != host.metadata.name
                        && theirs.address == listen.address
                        && differ(theirs, listen)
                        && may_share_agents(&other.spec.selector, &host.spec.selector)
                });
            if let Some((other, _, _)) = earlier {
                let (pointer, rule) = tell(*index, other.metadata.name.as_str());
                let key = ResourceKey {
                    kind: ResourceKind::VirtualHost,
                    name: host.metadata.name.clone(),
                };
                problems.push(Problem::new(key, pointer, &rule));
            }
        }
    };
    for ((name, port), group) in &by_name {
        clash(group, |_, _| true, &|index, other| {
            (
                format!("/spec/server_names/{index}"),
                format!(
                    "{name} on port {port} is claimed by VirtualHost/{other} too, for agents both may select"
                ),
            )
        });
    }
    for (port, group) in &defaults {
        clash(group, |_, _| true, &|index, other| {
            (
                format!("/spec/listen/{index}/default_server"),
                format!(
                    "VirtualHost/{other} is the default server of port {port} already, for agents both may select"
                ),
            )
        });
    }
    for (port, group) in &plain_or_tls {
        clash(
            group,
            |theirs, ours| theirs.tls != ours.tls,
            &|index, other| {
                (
                    format!("/spec/listen/{index}/tls"),
                    format!(
                        "VirtualHost/{other} uses port {port} with another choice of tls, for agents both may select"
                    ),
                )
            },
        );
    }
    problems
}

/// Whether some set of labels could satisfy both selectors.
#[must_use]
pub fn may_share_agents(one: &crate::model::Selector, other: &crate::model::Selector) -> bool {
    use crate::model::Requirement::{Absent, Exists, In};
    !one.requirements().iter().any(|a| {
        other.requirements().iter().any(|b| match (a, b) {
            (In(key, values), In(same, others)) => key == same && values.is_disjoint(others),
            (In(key, _) | Exists(key), Absent(same))
            | (Absent(key), In(same, _) | Exists(same)) => key == same,
            (In(key, values), crate::model::Requirement::NotIn(same, others))
            | (crate::model::Requirement::NotIn(same, others), In(key, values)) => {
                key == same && values.is_subset(others)
            }
            _ => false,
        })
    })
}

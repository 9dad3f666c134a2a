//! What single values cannot say: rules within a document and between documents.

mod access_list;
mod certificates;
mod claims;
mod delegation;
mod disruption;
mod kept;
mod location;
mod nginx_settings;
mod references;
mod snippet;
mod stream_server;
mod traffic;
mod upstream;
mod virtual_host;

use std::borrow::Cow;

use crate::{
    document::{Problem, bounded},
    model::{Resource, ResourceSet, value::Time},
    snippet::SnippetPolicy,
};

pub use claims::may_share_agents;
pub use disruption::{Disrupting, Disruption, disruptions};
pub use kept::mixed_connections;
pub use references::{references_of, referrers};

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
/// that no two servers claim the same name or address for agents they may share,
/// and that nobody gets connections of an upstream that were made for others.
///
/// # Errors
///
/// The problems found, at least one: the first hundred, and how many more.
///
/// ```
/// use nxmesh_core::{check, document, model::ResourceSet};
///
/// let parsed = document::parse("shop.yaml", r#"
/// kind: VirtualHost
/// metadata: { name: shop }
/// spec:
///   server_names: [shop.example.com]
///   locations: [{ path: /, proxy: { upstream: backend } }]
/// "#).unwrap();
/// let resources: ResourceSet = parsed.into_iter().map(|one| one.resource).collect();
/// let problems = check::check(resources).unwrap_err();
/// assert_eq!(problems[0].document, "VirtualHost/shop");
/// assert_eq!(problems[0].pointer, "/spec/locations/0/proxy/upstream");
/// ```
pub fn check(resources: ResourceSet) -> Result<Checked, Vec<Problem>> {
    check_with(resources, &SnippetPolicy::default())
}

/// As [`check`], with an installation's own policy for snippets.
///
/// # Errors
///
/// As [`check`].
pub fn check_with(
    resources: ResourceSet,
    snippets: &SnippetPolicy,
) -> Result<Checked, Vec<Problem>> {
    let problems = problems(&resources, snippets, Rest::NotThere);
    if problems.is_empty() {
        Ok(Checked(resources))
    } else {
        Err(bounded(problems, 0, "the resources"))
    }
}

/// The problems of documents that are part of a workspace: as by [`check`], without a
/// word on what they refer to and is not among them.
#[must_use]
pub fn part(resources: &ResourceSet) -> Vec<Problem> {
    let problems = problems(resources, &SnippetPolicy::default(), Rest::Elsewhere);
    bounded(problems, 0, "the resources")
}

/// What is referred to and not among the documents.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    NotThere,
    Elsewhere,
}

fn problems(resources: &ResourceSet, snippets: &SnippetPolicy, rest: Rest) -> Vec<Problem> {
    let mut problems: Vec<Problem> = resources
        .iter()
        .flat_map(|(_, resource)| document_with(resource, snippets))
        .collect();
    if rest == Rest::NotThere {
        problems.extend(references::check(resources));
    }
    problems.extend(snippet::placed(resources));
    problems.extend(stream_server::upstreams(resources));
    problems.extend(delegation::check(resources));
    problems.extend(certificates::check(resources));
    problems.extend(claims::check(resources));
    let mixed = kept::mixed_connections(resources).into_iter();
    problems.extend(mixed.map(|(_, problem)| problem));
    problems
}

/// Checks one document by itself.
#[must_use]
pub fn document(resource: &Resource) -> Vec<Problem> {
    document_with(resource, &SnippetPolicy::default())
}

fn document_with(resource: &Resource, snippets: &SnippetPolicy) -> Vec<Problem> {
    let mut found = Found::default();
    match resource {
        Resource::VirtualHost(host) => virtual_host::check(&host.spec, &mut found),
        Resource::Upstream(upstream) => upstream::check(&upstream.spec, &mut found),
        Resource::AccessList(list) => access_list::check(&list.spec, &mut found),
        Resource::Policy(policy) => traffic::policy(&policy.spec, &mut found),
        Resource::Snippet(snippet) => snippet::check(&snippet.spec, snippets, &mut found),
        Resource::NginxSettings(settings) => nginx_settings::check(&settings.spec, &mut found),
        Resource::RouteSet(set) => delegation::route_set(&set.spec, &mut found),
        Resource::StreamServer(server) => stream_server::check(&server.spec, &mut found),
        Resource::Certificate(_) | Resource::Template(_) => {}
    }
    let key = resource.key();
    found
        .0
        .into_iter()
        .map(|(pointer, message)| Problem::new(&key, pointer, &message))
        .collect()
}

/// The problems of one document: JSON pointer, and rule with example.
#[derive(Default)]
struct Found(Vec<(String, Cow<'static, str>)>);

impl Found {
    fn say(&mut self, pointer: impl Into<String>, message: &'static str) {
        self.0.push((pointer.into(), message.into()));
    }

    /// Says that a time has a fraction of a second where nginx takes none.
    fn seconds(&mut self, pointer: impl Into<String>, time: Option<Time>) {
        if time.is_some_and(|time| !time.is_in_seconds()) {
            self.say(pointer, "this time is in whole seconds, for example 10s");
        }
    }

    /// For rules that are told by another part.
    fn tell(&mut self, pointer: impl Into<String>, message: String) {
        self.0.push((pointer.into(), message.into()));
    }
}

//! What resources refer to has to be there.

use std::collections::BTreeSet;

use crate::{
    document::Problem,
    model::{
        AcmeChallenge, Action, Location, Proxy, Resource, ResourceKey, ResourceKind, ResourceSet,
        StreamServerSpec, Tls, TrafficSettings, Trust, UpstreamTls, VirtualHostSpec,
        traffic::{Access, ErrorAnswer, ExternalAuth, Mirror},
        value::ResourceName,
    },
};

pub(super) fn check(resources: &ResourceSet) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (owner, resource) in resources.iter() {
        for (pointer, target) in references_of(resource) {
            if resources.get(&target).is_none() {
                let rule = format!(
                    "{target} is not in workspace {}; apply it together with this",
                    resource.metadata().workspace
                );
                problems.push(Problem::new(owner, pointer, &rule));
            }
        }
    }
    problems
}

/// What a resource refers to, each with the JSON pointer of the reference.
#[must_use]
pub fn references_of(resource: &Resource) -> Vec<(String, ResourceKey)> {
    let mut references = References::default();
    match resource {
        Resource::VirtualHost(host) => references.virtual_host(&host.spec),
        Resource::Policy(policy) => references.traffic("/spec", &policy.spec),
        Resource::RouteSet(set) => references.locations(&set.spec.locations),
        Resource::StreamServer(server) => references.stream_server(&server.spec),
        Resource::Upstream(upstream) => references.snippets("/spec", &upstream.spec.snippets),
        Resource::Snippet(snippet) => {
            for (index, name) in snippet.spec.upstreams.iter().enumerate() {
                let pointer = format!("/spec/upstreams/{index}");
                references.to(pointer, ResourceKind::Upstream, name);
            }
        }
        Resource::Certificate(_)
        | Resource::AccessList(_)
        | Resource::NginxSettings(_)
        | Resource::Template(_) => {}
    }
    references.0
}

#[derive(Default)]
struct References(Vec<(String, ResourceKey)>);

impl References {
    fn to(&mut self, pointer: String, kind: ResourceKind, name: &ResourceName) {
        let name = name.clone();
        self.0.push((pointer, ResourceKey { kind, name }));
    }

    fn virtual_host(&mut self, spec: &VirtualHostSpec) {
        if let Some(tls) = &spec.tls {
            self.tls(tls);
        }
        if let Some(AcmeChallenge::Upstream(name)) = &spec.acme_challenge {
            let pointer = "/spec/acme_challenge/upstream".to_owned();
            self.to(pointer, ResourceKind::Upstream, name);
        }
        self.traffic("/spec", &spec.traffic);
        for (index, one) in spec.delegates.iter().enumerate() {
            let pointer = format!("/spec/delegates/{index}/routes");
            self.to(pointer, ResourceKind::RouteSet, &one.routes);
        }
        self.locations(&spec.locations);
    }

    fn locations(&mut self, locations: &[Location]) {
        for (index, location) in locations.iter().enumerate() {
            let at = format!("/spec/locations/{index}");
            self.action(&at, &location.action);
            for (index, route) in location.routes.iter().enumerate() {
                self.action(&format!("{at}/routes/{index}"), &route.action);
            }
            self.traffic(&at, &location.traffic);
        }
    }

    fn action(&mut self, at: &str, action: &Action) {
        match action {
            Action::Proxy(proxy) => self.proxy(&format!("{at}/proxy"), proxy),
            Action::Grpc(grpc) => {
                self.upstream(&format!("{at}/grpc"), &grpc.upstream, grpc.tls.as_deref());
            }
            Action::FastCgi(fastcgi) => {
                self.upstream(&format!("{at}/fastcgi"), &fastcgi.upstream, None);
            }
            Action::Static(files) => {
                if let Some(proxy) = files.fallback() {
                    self.proxy(&format!("{at}/static/otherwise/proxy"), proxy);
                }
            }
            Action::Redirect(_) | Action::Respond(_) => {}
        }
    }

    fn proxy(&mut self, at: &str, proxy: &Proxy) {
        self.upstream(at, &proxy.upstream, proxy.tls.as_deref());
        let shares = proxy.split.iter().flat_map(|split| &split.shares);
        for (index, share) in shares.enumerate() {
            let at = format!("{at}/split/shares/{index}");
            self.upstream(&at, &share.upstream, None);
        }
    }

    fn upstream(&mut self, at: &str, name: &ResourceName, tls: Option<&UpstreamTls>) {
        self.to(format!("{at}/upstream"), ResourceKind::Upstream, name);
        if let Some(tls) = tls {
            self.upstream_tls(&format!("{at}/tls"), tls);
        }
    }

    fn upstream_tls(&mut self, at: &str, tls: &UpstreamTls) {
        if let Some(Trust::Certificate(name)) = &tls.verify {
            let pointer = format!("{at}/verify/certificate");
            self.to(pointer, ResourceKind::Certificate, name);
        }
        if let Some(name) = &tls.certificate {
            self.to(format!("{at}/certificate"), ResourceKind::Certificate, name);
        }
    }

    fn tls(&mut self, tls: &Tls) {
        let mut to = |pointer: String, name| self.to(pointer, ResourceKind::Certificate, name);
        to("/spec/tls/certificate".to_owned(), &tls.certificate);
        for (index, name) in tls.more_certificates.iter().enumerate() {
            to(format!("/spec/tls/more_certificates/{index}"), name);
        }
        let stapling = tls.stapling.as_ref().and_then(|it| it.verify.as_ref());
        if let Some(Trust::Certificate(name)) = stapling {
            to("/spec/tls/stapling/verify/certificate".to_owned(), name);
        }
        if let Some(client) = &tls.client
            && let Trust::Certificate(name) = &client.trusted
        {
            to("/spec/tls/client/trusted/certificate".to_owned(), name);
        }
    }

    fn stream_server(&mut self, spec: &StreamServerSpec) {
        for (pointer, name) in spec.upstreams() {
            self.to(pointer, ResourceKind::Upstream, name);
        }
        if let Some(tls) = &spec.tls {
            let mut to = |pointer: String, name| self.to(pointer, ResourceKind::Certificate, name);
            to("/spec/tls/certificate".to_owned(), &tls.certificate);
            for (index, name) in tls.more_certificates.iter().enumerate() {
                to(format!("/spec/tls/more_certificates/{index}"), name);
            }
            if let Some(client) = &tls.client
                && let Trust::Certificate(name) = &client.trusted
            {
                to("/spec/tls/client/trusted/certificate".to_owned(), name);
            }
        }
        if let Some(tls) = &spec.upstream_tls {
            self.upstream_tls("/spec/upstream_tls", tls);
        }
        self.access("/spec", spec.access.as_ref());
        self.snippets("/spec", &spec.snippets);
    }

    fn access(&mut self, at: &str, access: Option<&Access>) {
        for (index, name) in access.iter().flat_map(|it| &it.lists).enumerate() {
            let pointer = format!("{at}/access/lists/{index}");
            self.to(pointer, ResourceKind::AccessList, name);
        }
    }

    fn snippets(&mut self, at: &str, snippets: &[ResourceName]) {
        for (index, name) in snippets.iter().enumerate() {
            let pointer = format!("{at}/snippets/{index}");
            self.to(pointer, ResourceKind::Snippet, name);
        }
    }

    fn traffic(&mut self, at: &str, traffic: &TrafficSettings) {
        for (index, name) in traffic.policies.iter().enumerate() {
            self.to(format!("{at}/policies/{index}"), ResourceKind::Policy, name);
        }
        self.snippets(at, &traffic.snippets);
        self.access(at, traffic.access.as_deref());
        self.upstreams_of_traffic(at, traffic);
    }

    fn upstreams_of_traffic(&mut self, at: &str, traffic: &TrafficSettings) {
        if let Some(ExternalAuth::Service(service)) = traffic.external_auth.as_deref() {
            let at = format!("{at}/external_auth/service");
            self.upstream(&at, &service.upstream, service.tls.as_deref());
        }
        if let Some(Mirror::To(target)) = traffic.mirror.as_deref() {
            let at = format!("{at}/mirror/to");
            self.upstream(&at, &target.upstream, target.tls.as_deref());
        }
        for (index, page) in traffic.error_pages.iter().enumerate() {
            if let ErrorAnswer::Upstream(page) = &page.send {
                let at = format!("{at}/error_pages/{index}/send/upstream");
                self.upstream(&at, &page.upstream, page.tls.as_deref());
            }
        }
    }
}

/// Everything that refers to one of `targets`, directly or through others.
#[must_use]
pub fn referrers(
    resources: &ResourceSet,
    targets: &BTreeSet<ResourceKey>,
) -> BTreeSet<ResourceKey> {
    let mut found = BTreeSet::new();
    let mut wanted = targets.clone();
    // What refers and is referred to is few, so this ends after a round or two.
    while !wanted.is_empty() {
        let refers = |resource: &Resource| {
            let mut references = references_of(resource).into_iter();
            references.any(|(_, target)| wanted.contains(&target))
        };
        let next: BTreeSet<ResourceKey> = resources
            .iter()
            .filter(|(key, resource)| !found.contains(*key) && refers(resource))
            .map(|(key, _)| key.clone())
            .collect();
        found.extend(next.iter().cloned());
        // Nothing refers to a resource that chooses agents itself.
        let passes_on = |key: &ResourceKey| {
            let resource = resources.get(key);
            resource.is_some_and(|resource| resource.selector().is_none())
        };
        wanted = next.into_iter().filter(passes_on).collect();
    }
    found
}

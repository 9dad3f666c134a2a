//! What resources refer to has to be there.

use std::collections::BTreeSet;

use crate::{
    document::Problem,
    model::{
        AcmeChallenge, Action, Location, Proxy, Resource, ResourceKey, ResourceKind, ResourceSet,
        StreamServerSpec, Tls, TrafficSettings, Trust, UpstreamScheme, UpstreamTls,
        VirtualHostSpec,
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
    of(resource).all
}

/// Who asks upstreams over HTTP and its kin in a resource.
pub(super) fn asked(resource: &Resource) -> Vec<Asker<'_>> {
    of(resource).asked
}

/// Somebody who asks an upstream.
pub(super) struct Asker<'a> {
    /// Where it names the upstream.
    pub(super) pointer: String,
    pub(super) upstream: &'a ResourceName,
    pub(super) manner: Manner<'a>,
}

/// How an upstream is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner<'a> {
    /// HTTP, with this TLS if any.
    Http(Option<&'a UpstreamTls>),
    /// gRPC, with this TLS if any.
    Grpc(Option<&'a UpstreamTls>),
    FastCgi,
    /// As the directives of a snippet say.
    Unknown,
}

impl<'a> Manner<'a> {
    /// What counts where a document says nothing of TLS.
    fn tls(scheme: UpstreamScheme, tls: Option<&'a UpstreamTls>) -> Option<&'a UpstreamTls> {
        static UNSAID: UpstreamTls = UpstreamTls::UNSAID;
        (scheme == UpstreamScheme::Https).then(|| tls.unwrap_or(&UNSAID))
    }

    const fn said(self) -> Option<&'a UpstreamTls> {
        match self {
            Self::Http(tls) | Self::Grpc(tls) => tls,
            Self::FastCgi | Self::Unknown => None,
        }
    }

    /// Whether one side proves to the other who it is.
    pub(super) fn proves(self) -> bool {
        let tls = self.said();
        tls.is_some_and(|tls| tls.verify.is_some() || tls.certificate.is_some())
    }

    /// Whether the host that is looked for in certificates is that of each request.
    pub(super) fn verifies_any_host(self) -> bool {
        let tls = self.said();
        tls.is_some_and(|tls| tls.verify.is_some() && tls.server_name.is_none())
    }
}

fn of(resource: &Resource) -> References<'_> {
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
                references.asks(pointer, name, Manner::Unknown);
            }
        }
        Resource::Certificate(_)
        | Resource::AccessList(_)
        | Resource::NginxSettings(_)
        | Resource::Template(_) => {}
    }
    references
}

#[derive(Default)]
struct References<'a> {
    all: Vec<(String, ResourceKey)>,
    asked: Vec<Asker<'a>>,
}

impl<'a> References<'a> {
    fn to(&mut self, pointer: String, kind: ResourceKind, name: &ResourceName) {
        let name = name.clone();
        self.all.push((pointer, ResourceKey { kind, name }));
    }

    /// Refers to an upstream that is asked so.
    fn asks(&mut self, pointer: String, upstream: &'a ResourceName, manner: Manner<'a>) {
        self.to(pointer.clone(), ResourceKind::Upstream, upstream);
        self.asked.push(Asker {
            pointer,
            upstream,
            manner,
        });
    }

    fn virtual_host(&mut self, spec: &'a VirtualHostSpec) {
        if let Some(tls) = &spec.tls {
            self.tls(tls);
        }
        if let Some(AcmeChallenge::Upstream(name)) = &spec.acme_challenge {
            let pointer = "/spec/acme_challenge/upstream".to_owned();
            self.asks(pointer, name, Manner::Http(None));
        }
        self.traffic("/spec", &spec.traffic);
        for (index, one) in spec.delegates.iter().enumerate() {
            let pointer = format!("/spec/delegates/{index}/routes");
            self.to(pointer, ResourceKind::RouteSet, &one.routes);
        }
        self.locations(&spec.locations);
    }

    fn locations(&mut self, locations: &'a [Location]) {
        for (index, location) in locations.iter().enumerate() {
            let at = format!("/spec/locations/{index}");
            self.action(&at, &location.action);
            for (index, route) in location.routes.iter().enumerate() {
                self.action(&format!("{at}/routes/{index}"), &route.action);
            }
            self.traffic(&at, &location.traffic);
        }
    }

    fn action(&mut self, at: &str, action: &'a Action) {
        match action {
            Action::Proxy(proxy) => self.proxy(&format!("{at}/proxy"), proxy),
            Action::Grpc(grpc) => {
                let manner = Manner::Grpc(Manner::tls(grpc.scheme, grpc.tls.as_deref()));
                self.upstream(&format!("{at}/grpc"), &grpc.upstream, manner);
            }
            Action::FastCgi(fastcgi) => {
                let pointer = format!("{at}/fastcgi/upstream");
                self.asks(pointer, &fastcgi.upstream, Manner::FastCgi);
            }
            Action::Static(files) => {
                if let Some(proxy) = files.fallback() {
                    self.proxy(&format!("{at}/static/otherwise/proxy"), proxy);
                }
            }
            Action::Redirect(_) | Action::Respond(_) => {}
        }
    }

    fn proxy(&mut self, at: &str, proxy: &'a Proxy) {
        let manner = self.http(at, &proxy.upstream, proxy.scheme, proxy.tls.as_deref());
        let shares = proxy.split.iter().flat_map(|split| &split.shares);
        for (index, share) in shares.enumerate() {
            let pointer = format!("{at}/split/shares/{index}/upstream");
            self.asks(pointer, &share.upstream, manner);
        }
    }

    fn http(
        &mut self,
        at: &str,
        name: &'a ResourceName,
        scheme: UpstreamScheme,
        tls: Option<&'a UpstreamTls>,
    ) -> Manner<'a> {
        let manner = Manner::Http(Manner::tls(scheme, tls));
        self.upstream(at, name, manner);
        manner
    }

    fn upstream(&mut self, at: &str, name: &'a ResourceName, manner: Manner<'a>) {
        self.asks(format!("{at}/upstream"), name, manner);
        if let Some(tls) = manner.said() {
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

    fn traffic(&mut self, at: &str, traffic: &'a TrafficSettings) {
        for (index, name) in traffic.policies.iter().enumerate() {
            self.to(format!("{at}/policies/{index}"), ResourceKind::Policy, name);
        }
        self.snippets(at, &traffic.snippets);
        self.access(at, traffic.access.as_deref());
        self.upstreams_of_traffic(at, traffic);
    }

    fn upstreams_of_traffic(&mut self, at: &str, traffic: &'a TrafficSettings) {
        if let Some(ExternalAuth::Service(service)) = traffic.external_auth.as_deref() {
            let at = format!("{at}/external_auth/service");
            self.http(
                &at,
                &service.upstream,
                service.scheme,
                service.tls.as_deref(),
            );
        }
        if let Some(Mirror::To(target)) = traffic.mirror.as_deref() {
            let at = format!("{at}/mirror/to");
            self.http(&at, &target.upstream, target.scheme, target.tls.as_deref());
        }
        for (index, page) in traffic.error_pages.iter().enumerate() {
            if let ErrorAnswer::Upstream(page) = &page.send {
                let at = format!("{at}/error_pages/{index}/send/upstream");
                self.http(&at, &page.upstream, page.scheme, page.tls.as_deref());
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

//! A tree while it is rendered, resource by resource.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nxmesh_core::{
    check::referrers,
    contract::renderer::{PemFile, RenderError, RenderSettings, RenderedTree},
    model::{
        Certificate, Metadata, NginxSettings, Resource, ResourceKey, ResourceKind, ResourceSet,
        Snippet, StreamServer, Upstream, VirtualHost, value::ResourceName,
    },
    snippet::SnippetContext,
};

use super::{
    Programs,
    program::{Output, Program},
    record::Record,
};
use crate::{
    context::{
        EventsRecord, MainRecord, MediaTypesRecord, Scene, StreamServerRecord, UpstreamRecord,
        VirtualHostRecord, asked_again, headers, snippet,
        traffic::{Effective, Secrets},
    },
    names::{self, Identity},
    structure,
};

/// The largest file of one resource, in bytes.
const MAX_FILE_BYTES: usize = 16 << 20;

/// What else changes with the `changed` resources: all that refers to them. Of
/// an upstream that is still there only its name is written elsewhere, so the
/// usual change does not look at the other resources at all.
pub(super) fn dependents(
    resources: &ResourceSet,
    changed: &BTreeSet<ResourceKey>,
    settings: &RenderSettings,
    previous: &RenderedTree,
) -> BTreeSet<ResourceKey> {
    let woven = changed.iter().filter(|key| match key.kind {
        ResourceKind::VirtualHost | ResourceKind::StreamServer | ResourceKind::NginxSettings => {
            false
        }
        ResourceKind::Upstream => resources.upstream(&key.name).is_none_or(|upstream| {
            asked_again(settings, upstream).is_some() || was_variable(previous, key, upstream)
        }),
        _ => true,
    });
    let woven: BTreeSet<ResourceKey> = woven.cloned().collect();
    let mut found = referrers(resources, &woven);
    // They hold their upstreams.
    let passing = resources.stream_servers().filter(|(_, server)| {
        let mut upstreams = server.spec.upstreams();
        upstreams.any(|(_, name)| {
            let (kind, name) = (ResourceKind::Upstream, name.clone());
            changed.contains(&ResourceKey { kind, name })
        })
    });
    found.extend(passing.map(|(key, _)| key.clone()));
    found
}

/// Whether requests were passed to a variable in place of the upstream: its file does not
/// name it.
fn was_variable(previous: &RenderedTree, key: &ResourceKey, upstream: &Upstream) -> bool {
    let identity = Identity::of(&upstream.metadata.workspace, key.kind, &key.name);
    let name = identity.upstream();
    let file = previous.file(&identity.path(names::UPSTREAMS, &key.name));
    file.is_some_and(|file| {
        let mut parts = file.contents.windows(name.len());
        !parts.any(|part| part == name.as_bytes())
    })
}

/// A tree while it is rendered.
pub(super) struct Work<'a> {
    programs: &'a Programs,
    resources: &'a ResourceSet,
    settings: &'a RenderSettings,
    tree: RenderedTree,
    /// The file names of certificates: their digests are computed once.
    pem_stems: BTreeMap<&'a ResourceName, String>,
    /// One buffer for all files.
    output: Output,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        programs: &'a Programs,
        resources: &'a ResourceSet,
        settings: &'a RenderSettings,
        tree: RenderedTree,
    ) -> Self {
        Self {
            programs,
            resources,
            settings,
            tree,
            pem_stems: BTreeMap::new(),
            output: Output::default(),
        }
    }

    pub(super) fn into_tree(self) -> RenderedTree {
        self.tree
    }

    /// Renders a resource into the tree.
    pub(super) fn add(
        &mut self,
        key: &ResourceKey,
        resource: &'a Resource,
    ) -> Result<(), RenderError> {
        match resource {
            Resource::VirtualHost(host) => self.virtual_host(key, host),
            Resource::Upstream(upstream) => self.upstream(key, upstream),
            Resource::Certificate(certificate) => {
                self.certificate(certificate);
                Ok(())
            }
            Resource::Snippet(snippet) => self.snippet(key, snippet),
            Resource::StreamServer(server) => self.stream_server(key, server),
            Resource::NginxSettings(settings) => self.nginx_settings(key, settings),
            // Become part of what refers to them.
            Resource::AccessList(_)
            | Resource::Policy(_)
            | Resource::RouteSet(_)
            | Resource::Template(_) => Ok(()),
        }
    }

    /// Removes what an earlier version of the resource left in the tree.
    pub(super) fn forget(&mut self, key: &ResourceKey) {
        for prefix in names::path_prefixes(key) {
            let paths: Vec<String> = self
                .tree
                .files_under(&prefix)
                .filter(|(_, file)| file.resource.as_ref() == Some(key))
                .map(|(path, _)| path.to_owned())
                .collect();
            for path in paths {
                self.tree.remove(&path);
            }
        }
        match key.kind {
            ResourceKind::VirtualHost => {
                self.forget_pem(|file| names::is_secrets_of(file, &key.name))
            }
            ResourceKind::Certificate => self.forget_pem(|file| names::is_pem_of(file, &key.name)),
            _ => {}
        }
    }

    fn forget_pem(&mut self, is_old: impl Fn(&str) -> bool) {
        let files = self.tree.pem_files().map(|(file, _)| file);
        let old: Vec<String> = files
            .filter(|file| is_old(file))
            .map(ToOwned::to_owned)
            .collect();
        for file in old {
            self.tree.remove_pem(&file);
        }
    }

    fn virtual_host(
        &mut self,
        key: &ResourceKey,
        host: &'a VirtualHost,
    ) -> Result<(), RenderError> {
        if host.spec.delegates.is_empty() {
            return self.whole_virtual_host(key, host);
        }
        let mut whole = host.clone();
        for one in &host.spec.delegates {
            let set = self.resources.route_set(&one.routes).ok_or_else(|| {
                let (kind, name) = (ResourceKind::RouteSet, one.routes.clone());
                let missing = ResourceKey { kind, name };
                self.scene(key, &host.metadata).missing(missing)
            })?;
            whole
                .spec
                .locations
                .extend(set.spec.locations.iter().cloned());
        }
        self.whole_virtual_host(key, &whole)
    }

    /// A virtual host that holds all of its locations.
    fn whole_virtual_host(
        &mut self,
        key: &ResourceKey,
        host: &VirtualHost,
    ) -> Result<(), RenderError> {
        let stem = match &host.spec.tls {
            Some(tls) => self
                .resources
                .certificate(&tls.certificate)
                .map(|certificate| self.pem_stem(certificate).to_owned()),
            None => None,
        };
        let scene = self.scene(key, &host.metadata);
        let effective = Effective::of(&scene, &host.spec)?;
        let headers = headers::records(&scene, &effective.host(&host.spec).response_headers)?;
        let mut secrets = Secrets::default();
        let identity = Identity::of(&host.metadata.workspace, key.kind, &key.name);
        let record = VirtualHostRecord::of(
            &scene,
            host,
            identity,
            &effective,
            (&headers, stem.as_deref()),
            &mut secrets,
        )?;
        let path = identity.path(names::VIRTUAL_HOSTS, &key.name);
        self.write(key, path, &self.programs.virtual_host, &record)?;
        for (name, file) in secrets.into_files() {
            self.tree.insert_pem(name, file);
        }
        Ok(())
    }

    fn upstream(&mut self, key: &ResourceKey, upstream: &'a Upstream) -> Result<(), RenderError> {
        let identity = Identity::of(&upstream.metadata.workspace, key.kind, &key.name);
        let record = UpstreamRecord::of(
            &self.scene(key, &upstream.metadata),
            identity.upstream(),
            upstream,
        )?;
        let path = identity.path(names::UPSTREAMS, &key.name);
        self.write(key, path, &self.programs.upstream, &record)
    }

    fn stream_server(
        &mut self,
        key: &ResourceKey,
        document: &'a StreamServer,
    ) -> Result<(), RenderError> {
        let identity = Identity::of(&document.metadata.workspace, key.kind, &key.name);
        let scene = self.scene(key, &document.metadata);
        let record = StreamServerRecord::of(&scene, identity, document)?;
        let path = identity.path(names::STREAM_SERVERS, &key.name);
        self.write(key, path, &self.programs.stream_server, &record)
    }

    fn nginx_settings(
        &mut self,
        key: &ResourceKey,
        document: &'a NginxSettings,
    ) -> Result<(), RenderError> {
        let identity = Identity::of(&document.metadata.workspace, key.kind, &key.name);
        let scene = self.scene(key, &document.metadata);
        let main = MainRecord::of(&scene, document)?;
        if let Some(types) = MediaTypesRecord::of(&scene, document)? {
            let path = identity.path(names::MEDIA_TYPES, &key.name);
            self.write(key, path, &self.programs.media_types, &types)?;
        }
        let path = identity.path(names::MAIN, &key.name);
        self.write(key, path, &self.programs.main, &main)?;
        let path = identity.path(names::EVENTS, &key.name);
        let events = EventsRecord::of(document);
        self.write(key, path, &self.programs.events, &events)
    }

    /// A snippet of a block that is there once; the others stand where they are named.
    fn snippet(&mut self, key: &ResourceKey, document: &'a Snippet) -> Result<(), RenderError> {
        let context = document.spec.context;
        let folder = match context {
            SnippetContext::Http => names::SNIPPETS,
            SnippetContext::Main => names::MAIN,
            SnippetContext::Events => names::EVENTS,
            SnippetContext::Stream => names::STREAM_SNIPPETS,
            SnippetContext::Server
            | SnippetContext::Location
            | SnippetContext::Upstream
            | SnippetContext::StreamServer => return Ok(()),
        };
        let scene = self.scene(key, &document.metadata);
        if context != SnippetContext::Http {
            scene.require_whole_conf("a snippet of this context")?;
        }
        let record = snippet::record(&scene, document, context)?;
        let identity = Identity::of(&document.metadata.workspace, key.kind, &key.name);
        let path = identity.path(folder, &key.name);
        self.write(key, path, &self.programs.snippet, &record)
    }

    fn certificate(&mut self, certificate: &'a Certificate) {
        let stem = self.pem_stem(certificate).to_owned();
        let spec = &certificate.spec;
        for (suffix, text, secret) in [
            ("crt", spec.certificate.as_pem(), false),
            ("key", spec.private_key.expose_pem(), true),
        ] {
            let contents = Arc::new(text.to_owned().into());
            self.tree.insert_pem(
                format!("{stem}.{suffix}"),
                PemFile {
                    contents,
                    secret,
                    for_workers: false,
                },
            );
        }
    }

    fn pem_stem(&mut self, certificate: &'a Certificate) -> &str {
        let name = &certificate.metadata.name;
        self.pem_stems
            .entry(name)
            .or_insert_with(|| names::pem_stem(name, &certificate.spec))
    }

    const fn scene<'s>(&self, key: &'s ResourceKey, metadata: &'s Metadata) -> Scene<'s>
    where
        'a: 's,
    {
        Scene {
            key,
            workspace: &metadata.workspace,
            resources: self.resources,
            settings: self.settings,
        }
    }

    fn write(
        &mut self,
        key: &ResourceKey,
        path: String,
        program: &Program,
        record: &dyn Record,
    ) -> Result<(), RenderError> {
        self.output.clear();
        program
            .run(record, &mut self.output, MAX_FILE_BYTES)
            .map_err(|_| RenderError::Unrenderable {
                resource: key.clone(),
                reason: format!("its file would be larger than {MAX_FILE_BYTES} bytes"),
            })?;
        let text = &self.output.text[..];
        structure::verify(text, &self.output.values, self.settings.nginx).map_err(|mismatch| {
            RenderError::Structure {
                resource: key.clone(),
                line: mismatch.position.line,
                column: mismatch.position.column,
                reason: mismatch.reason,
            }
        })?;
        self.tree.insert(path, text, Some(key.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod saboteurs;

//! The renderer: templates compiled once, run for every resource.

mod compile;
mod program;
pub(crate) mod record;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};

use nxmesh_core::{
    contract::renderer::{PemFile, RenderError, RenderSettings, RenderedTree, Renderer},
    model::{
        Action, Certificate, Resource, ResourceKey, ResourceKind, ResourceSet, Upstream,
        VirtualHost, value::ResourceName,
    },
};

use self::{
    compile::Sources,
    program::Program,
    record::{Record, Shaped},
};
use crate::{
    context::{Scene, UpstreamRecord, VirtualHostRecord, headers},
    names::{self, Identity},
};

/// The built-in templates.
const TEMPLATES: [(&str, &str); 6] = [
    (
        VIRTUAL_HOST,
        include_str!("../../templates/virtual-host.hbs"),
    ),
    (UPSTREAM, include_str!("../../templates/upstream.hbs")),
    ("location", include_str!("../../templates/location.hbs")),
    ("proxy", include_str!("../../templates/proxy.hbs")),
    ("headers", include_str!("../../templates/headers.hbs")),
    ("tls", include_str!("../../templates/tls.hbs")),
];
const VIRTUAL_HOST: &str = "virtual-host";
const UPSTREAM: &str = "upstream";

/// The largest file of one resource, in bytes.
const MAX_FILE_BYTES: usize = 16 << 20;

/// Renders with Handlebars templates.
///
/// Templates are compiled once; what is left to do per resource is copying
/// text. One renderer may be used by many threads at a time.
#[derive(Debug)]
pub struct HandlebarsRenderer {
    virtual_host: Program,
    upstream: Program,
}

impl HandlebarsRenderer {
    /// With the built-in templates.
    #[must_use]
    pub fn new() -> Self {
        Self::with_templates::<&str, &str>([])
            .unwrap_or_else(|error| unreachable!("the built-in templates are tested: {error}"))
    }

    /// With templates in place of built-in ones of the same name, and more
    /// that these include. The built-in ones are `virtual-host`, `upstream`,
    /// and `location`, `proxy`, `headers` and `tls` that the first includes.
    ///
    /// Everything a template can name is known beforehand, and all of it is
    /// quoted, so a template that compiles cannot fail later.
    ///
    /// ```
    /// use nxmesh_render::HandlebarsRenderer;
    ///
    /// let error = HandlebarsRenderer::with_templates([("tls", "ssl_certificate {{certificat}};")])
    ///     .unwrap_err();
    /// assert!(error.to_string().starts_with("template tls, line 1, column 17: "));
    /// ```
    ///
    /// # Errors
    ///
    /// [`RenderError::Template`] with line and column.
    pub fn with_templates<N: Into<String>, S: Into<String>>(
        overrides: impl IntoIterator<Item = (N, S)>,
    ) -> Result<Self, RenderError> {
        let mut sources: Sources = TEMPLATES
            .map(|(name, source)| (name.to_owned(), source.to_owned()))
            .into();
        let mut unused = BTreeSet::new();
        for (name, source) in overrides {
            let name = name.into();
            unused.insert(name.clone());
            sources.insert(name, source.into());
        }
        let mut used = BTreeSet::new();
        let renderer = Self {
            virtual_host: compile::compile(
                &sources,
                VIRTUAL_HOST,
                VirtualHostRecord::SHAPE,
                &mut used,
            )?,
            upstream: compile::compile(&sources, UPSTREAM, UpstreamRecord::SHAPE, &mut used)?,
        };
        match unused.difference(&used).next() {
            Some(name) if !TEMPLATES.iter().any(|(known, _)| known == name) => {
                Err(RenderError::Template {
                    template: name.clone(),
                    line: 1,
                    column: 1,
                    reason: "no template includes this one".to_owned(),
                })
            }
            _ => Ok(renderer),
        }
    }
}

impl Default for HandlebarsRenderer {
    fn default() -> Self {
        Self::new()
    }
}

impl Renderer for HandlebarsRenderer {
    fn backend(&self) -> &'static str {
        "handlebars"
    }

    fn render(
        &self,
        resources: &ResourceSet,
        settings: &RenderSettings,
    ) -> Result<RenderedTree, RenderError> {
        let mut work = Work::new(self, resources, settings, RenderedTree::default());
        for (key, resource) in resources.iter() {
            work.add(key, resource)?;
        }
        Ok(work.tree)
    }

    fn rerender(
        &self,
        previous: RenderedTree,
        resources: &ResourceSet,
        changed: &BTreeSet<ResourceKey>,
        settings: &RenderSettings,
    ) -> Result<RenderedTree, RenderError> {
        let mut work = Work::new(self, resources, settings, previous);
        let mut stale: BTreeSet<&ResourceKey> = changed.iter().collect();
        stale.extend(dependents(resources, changed));
        for key in stale {
            work.forget(key);
            if let Some(resource) = resources.get(key) {
                work.add(key, resource)?;
            }
        }
        Ok(work.tree)
    }
}

/// The virtual hosts whose files change with other resources: those of a
/// changed certificate, whose file names follow its contents, and those that
/// refer to what was removed. Upstreams are referred to by name only, so the
/// usual change does not look at the virtual hosts at all.
fn dependents<'r>(
    resources: &'r ResourceSet,
    changed: &BTreeSet<ResourceKey>,
) -> Vec<&'r ResourceKey> {
    let (mut upstreams, mut certificates) = (BTreeSet::new(), BTreeSet::new());
    for key in changed {
        match key.kind {
            ResourceKind::Certificate => {
                certificates.insert(&key.name);
            }
            ResourceKind::Upstream if resources.get(key).is_none() => {
                upstreams.insert(&key.name);
            }
            ResourceKind::Upstream | ResourceKind::VirtualHost => {}
        }
    }
    if upstreams.is_empty() && certificates.is_empty() {
        return Vec::new();
    }
    let refers = |host: &VirtualHost| {
        let tls = host.spec.tls.as_ref();
        tls.is_some_and(|tls| certificates.contains(&tls.certificate))
            || host.spec.locations.iter().any(|location| {
                matches!(&location.action, Action::Proxy(proxy) if upstreams.contains(&proxy.upstream))
            })
    };
    resources
        .iter()
        .filter(|(_, resource)| matches!(&***resource, Resource::VirtualHost(host) if refers(host)))
        .map(|(key, _)| key)
        .collect()
}

/// A tree while it is rendered.
struct Work<'a> {
    renderer: &'a HandlebarsRenderer,
    resources: &'a ResourceSet,
    settings: &'a RenderSettings,
    tree: RenderedTree,
    /// The file names of certificates: their digests are computed once.
    pem_stems: BTreeMap<&'a ResourceName, String>,
    /// One buffer for all files.
    output: Vec<u8>,
}

impl<'a> Work<'a> {
    const fn new(
        renderer: &'a HandlebarsRenderer,
        resources: &'a ResourceSet,
        settings: &'a RenderSettings,
        tree: RenderedTree,
    ) -> Self {
        Self {
            renderer,
            resources,
            settings,
            tree,
            pem_stems: BTreeMap::new(),
            output: Vec::new(),
        }
    }

    fn add(&mut self, key: &ResourceKey, resource: &'a Resource) -> Result<(), RenderError> {
        match resource {
            Resource::VirtualHost(host) => self.virtual_host(key, host),
            Resource::Upstream(upstream) => self.upstream(key, upstream),
            Resource::Certificate(certificate) => {
                self.certificate(certificate);
                Ok(())
            }
        }
    }

    /// Removes what an earlier version of the resource left in the tree.
    fn forget(&mut self, key: &ResourceKey) {
        if let Some(prefix) = names::path_prefix(key) {
            let paths: Vec<String> = self
                .tree
                .files_under(&prefix)
                .filter(|(_, file)| file.resource.as_ref() == Some(key))
                .map(|(path, _)| path.to_owned())
                .collect();
            for path in paths {
                self.tree.remove(&path);
            }
        } else {
            let files: Vec<String> = self
                .tree
                .pem_files()
                .filter(|(file, _)| names::is_pem_of(file, &key.name))
                .map(|(file, _)| file.to_owned())
                .collect();
            for file in files {
                self.tree.remove_pem(&file);
            }
        }
    }

    fn virtual_host(
        &mut self,
        key: &ResourceKey,
        host: &'a VirtualHost,
    ) -> Result<(), RenderError> {
        let stem = match &host.spec.tls {
            Some(tls) => self
                .resources
                .certificate(&tls.certificate)
                .map(|certificate| self.pem_stem(certificate).to_owned()),
            None => None,
        };
        let scene = self.scene(key);
        let headers = headers::records(&scene, &host.spec.response_headers)?;
        let record = VirtualHostRecord::of(&scene, host, &headers, stem.as_deref())?;
        let identity = Identity::of(&host.metadata.workspace, key.kind, &key.name);
        let path = identity.path(names::VIRTUAL_HOSTS, &key.name);
        self.write(key, path, &self.renderer.virtual_host, &record)
    }

    fn upstream(&mut self, key: &ResourceKey, upstream: &'a Upstream) -> Result<(), RenderError> {
        let identity = Identity::of(&upstream.metadata.workspace, key.kind, &key.name);
        let record = UpstreamRecord::of(&self.scene(key), identity, upstream)?;
        let path = identity.path(names::UPSTREAMS, &key.name);
        self.write(key, path, &self.renderer.upstream, &record)
    }

    fn certificate(&mut self, certificate: &'a Certificate) {
        let stem = self.pem_stem(certificate).to_owned();
        let spec = &certificate.spec;
        for (suffix, text, secret) in [
            ("crt", spec.certificate.as_pem(), false),
            ("key", spec.private_key.expose_pem(), true),
        ] {
            let contents = std::sync::Arc::new(text.to_owned().into());
            self.tree
                .insert_pem(format!("{stem}.{suffix}"), PemFile { contents, secret });
        }
    }

    fn pem_stem(&mut self, certificate: &'a Certificate) -> &str {
        let name = &certificate.metadata.name;
        self.pem_stems
            .entry(name)
            .or_insert_with(|| names::pem_stem(name, &certificate.spec))
    }

    const fn scene<'s>(&'s self, key: &'s ResourceKey) -> Scene<'s> {
        Scene {
            key,
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
        self.tree.insert(path, &self.output[..], Some(key.clone()));
        Ok(())
    }
}

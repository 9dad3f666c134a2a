//! The renderer: templates compiled once, run for every resource.

mod compile;
mod parallel;
mod program;
pub(crate) mod record;
mod reference;
mod scope;
mod skeleton;
mod syntax;
mod work;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use nxmesh_core::{
    contract::renderer::{RenderError, RenderSettings, RenderedTree, Renderer},
    digest::Digest,
    model::{ResourceKey, ResourceKind, ResourceSet},
};

pub use self::reference::{TemplateField, TemplateRecord, TemplateReference};
use self::{
    compile::{Sources, Uses},
    program::Program,
    record::Shaped,
    work::{Work, dependents},
};
use crate::context::{
    EventsRecord, MainRecord, MediaTypesRecord, SnippetRecord, StreamServerRecord, UpstreamRecord,
    VirtualHostRecord,
};

/// The built-in templates.
const TEMPLATES: [(&str, &str); 26] = [
    (
        VIRTUAL_HOST,
        include_str!("../../templates/virtual-host.hbs"),
    ),
    (UPSTREAM, include_str!("../../templates/upstream.hbs")),
    (SNIPPET, include_str!("../../templates/snippet.hbs")),
    (
        STREAM_SERVER,
        include_str!("../../templates/stream-server.hbs"),
    ),
    (MAIN, include_str!("../../templates/main.hbs")),
    (EVENTS, include_str!("../../templates/events.hbs")),
    (MEDIA_TYPES, include_str!("../../templates/media-types.hbs")),
    ("resolver", include_str!("../../templates/resolver.hbs")),
    ("balancing", include_str!("../../templates/balancing.hbs")),
    ("location", include_str!("../../templates/location.hbs")),
    ("grpc", include_str!("../../templates/grpc.hbs")),
    (
        "grpc-errors",
        include_str!("../../templates/grpc-errors.hbs"),
    ),
    ("fastcgi", include_str!("../../templates/fastcgi.hbs")),
    ("files", include_str!("../../templates/files.hbs")),
    ("answer", include_str!("../../templates/answer.hbs")),
    ("proxy", include_str!("../../templates/proxy.hbs")),
    (
        "proxy-details",
        include_str!("../../templates/proxy-details.hbs"),
    ),
    ("proxy-tls", include_str!("../../templates/proxy-tls.hbs")),
    ("headers", include_str!("../../templates/headers.hbs")),
    ("tls", include_str!("../../templates/tls.hbs")),
    ("client", include_str!("../../templates/client.hbs")),
    ("endpoints", include_str!("../../templates/endpoints.hbs")),
    ("traffic", include_str!("../../templates/traffic.hbs")),
    ("telling", include_str!("../../templates/telling.hbs")),
    ("gates", include_str!("../../templates/gates.hbs")),
    ("internal", include_str!("../../templates/internal.hbs")),
];
const VIRTUAL_HOST: &str = "virtual-host";
const UPSTREAM: &str = "upstream";
const SNIPPET: &str = "snippet";
const STREAM_SERVER: &str = "stream-server";
const MAIN: &str = "main";
const EVENTS: &str = "events";
const MEDIA_TYPES: &str = "media-types";

fn built_in() -> Sources {
    TEMPLATES
        .map(|(name, source)| (name.to_owned(), source.to_owned()))
        .into()
}

/// Renders with Handlebars templates.
///
/// Templates are compiled once; what is left to do per resource is copying
/// text. Template resources in a set count for that set, before all others; the
/// ones used last are kept compiled. One renderer may be used by many threads at
/// a time; [`render_parallel`](Self::render_parallel) starts some.
#[derive(Debug)]
pub struct HandlebarsRenderer {
    sources: Sources,
    /// Made when they are first needed: an agent that starts from its cache may never need them.
    programs: OnceLock<Arc<Programs>>,
    /// What the Template resources used last became.
    latest: Mutex<Option<(Digest, Arc<Programs>)>>,
}

/// The compiled templates of the kinds of files.
#[derive(Debug)]
pub(crate) struct Programs {
    /// What they are made of.
    uses: Uses,
    pub(crate) virtual_host: Program,
    pub(crate) upstream: Program,
    pub(crate) snippet: Program,
    pub(crate) stream_server: Program,
    pub(crate) main: Program,
    pub(crate) events: Program,
    pub(crate) media_types: Program,
}

impl Programs {
    /// Compiles `sources`, of which those of `overrides` have to be of use.
    fn compile(sources: &Sources, overrides: &BTreeSet<String>) -> Result<Self, RenderError> {
        let (mut used, mut work) = (Uses::new(), 0);
        let mut compile =
            |root, shape| compile::compile(sources, root, shape, &mut used, &mut work);
        let mut programs = Self {
            uses: Uses::new(),
            virtual_host: compile(VIRTUAL_HOST, VirtualHostRecord::SHAPE)?,
            upstream: compile(UPSTREAM, UpstreamRecord::SHAPE)?,
            snippet: compile(SNIPPET, SnippetRecord::SHAPE)?,
            stream_server: compile(STREAM_SERVER, StreamServerRecord::SHAPE)?,
            main: compile(MAIN, MainRecord::SHAPE)?,
            events: compile(EVENTS, EventsRecord::SHAPE)?,
            media_types: compile(MEDIA_TYPES, MediaTypesRecord::SHAPE)?,
        };
        programs.uses = used;
        let used = &programs.uses;
        match overrides.iter().find(|name| !used.contains_key(*name)) {
            Some(name) if !TEMPLATES.iter().any(|(known, _)| known == name) => {
                Err(RenderError::Template {
                    template: name.clone(),
                    line: 1,
                    column: 1,
                    reason: "no template includes this one".to_owned(),
                })
            }
            _ => Ok(programs),
        }
    }
}

impl HandlebarsRenderer {
    /// With the built-in templates.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sources: built_in(),
            programs: OnceLock::new(),
            latest: Mutex::default(),
        }
    }

    /// With templates in place of built-in ones of the same name, and more
    /// that these include. The built-in ones are `virtual-host`, `upstream`,
    /// `snippet`, `stream-server`, `main` and `events`, and `balancing`, `resolver`, `location`, `files`, `answer`, `proxy`, `proxy-details`, `proxy-tls`, `grpc`,
    /// `grpc-errors`, `fastcgi`, `headers`, `tls`, `client`, `endpoints`, `traffic`,
    /// `telling`, `gates` and `internal` that the first ones include.
    ///
    /// Everything a template can name is known beforehand, and all of it is
    /// quoted; and it has to write whole directives and blocks, whichever way its
    /// conditions go. What a template that compiles may still do wrong is to make
    /// a value a part of a larger word, as in `shop-{{value}}`: where the value
    /// needs quotes, rendering fails with [`RenderError::Structure`].
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
        let mut sources = built_in();
        let mut overridden = BTreeSet::new();
        for (name, source) in overrides {
            let name = name.into();
            overridden.insert(name.clone());
            sources.insert(name, source.into());
        }
        let programs = Arc::new(Programs::compile(&sources, &overridden)?);
        Ok(Self {
            sources,
            programs: OnceLock::from(programs),
            latest: Mutex::default(),
        })
    }

    /// Those of no Template resource.
    fn own_programs(&self) -> &Arc<Programs> {
        self.programs.get_or_init(|| {
            let programs = Programs::compile(&self.sources, &BTreeSet::new());
            Arc::new(
                programs.unwrap_or_else(|error| {
                    unreachable!("the built-in templates are tested: {error}")
                }),
            )
        })
    }

    /// The programs for a set of resources.
    fn programs(&self, resources: &ResourceSet) -> Result<Arc<Programs>, RenderError> {
        let templates: Vec<(&str, &str)> = resources
            .templates()
            .map(|template| {
                (
                    template.metadata.name.as_str(),
                    template.spec.source.as_str(),
                )
            })
            .collect();
        if templates.is_empty() {
            return Ok(Arc::clone(self.own_programs()));
        }
        let parts = templates.iter().flat_map(|(name, source)| [name, source]);
        let digest = Digest::of_parts(parts.map(|part| part.as_bytes()));
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, programs)) = &*latest
            && *known == digest
        {
            return Ok(Arc::clone(programs));
        }
        let mut sources = self.sources.clone();
        let owned = |text: &str| text.to_owned();
        sources.extend(
            templates
                .iter()
                .map(|(name, source)| (owned(name), owned(source))),
        );
        let names = templates.iter().map(|(name, _)| owned(name)).collect();
        let programs = Arc::new(Programs::compile(&sources, &names)?);
        *latest = Some((digest, Arc::clone(&programs)));
        Ok(programs)
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
        let programs = self.programs(resources)?;
        let mut work = Work::new(&programs, resources, settings, RenderedTree::default());
        for (key, resource) in resources.iter() {
            work.add(key, resource)?;
        }
        Ok(work.into_tree())
    }

    fn rerender(
        &self,
        previous: RenderedTree,
        resources: &ResourceSet,
        changed: &BTreeSet<ResourceKey>,
        settings: &RenderSettings,
    ) -> Result<RenderedTree, RenderError> {
        // A template shapes every file.
        if changed.iter().any(|key| key.kind == ResourceKind::Template) {
            return self.render(resources, settings);
        }
        let programs = self.programs(resources)?;
        let dependents = dependents(resources, changed, settings, &previous);
        let mut work = Work::new(&programs, resources, settings, previous);
        for key in changed.union(&dependents) {
            work.forget(key);
            if let Some(resource) = resources.get(key) {
                work.add(key, resource)?;
            }
        }
        Ok(work.into_tree())
    }
}

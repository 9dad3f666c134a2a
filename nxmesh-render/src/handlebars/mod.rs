//! The renderer: templates compiled once, run for every resource.

mod compile;
mod program;
pub(crate) mod record;
mod scope;
mod skeleton;
mod syntax;
mod work;

use std::collections::BTreeSet;

use nxmesh_core::{
    contract::renderer::{RenderError, RenderSettings, RenderedTree, Renderer},
    model::{ResourceKey, ResourceSet},
};

use self::{
    compile::Sources,
    program::Program,
    record::Shaped,
    work::{Work, dependents},
};
use crate::context::{SnippetRecord, UpstreamRecord, VirtualHostRecord};

/// The built-in templates.
const TEMPLATES: [(&str, &str); 9] = [
    (
        VIRTUAL_HOST,
        include_str!("../../templates/virtual-host.hbs"),
    ),
    (UPSTREAM, include_str!("../../templates/upstream.hbs")),
    (SNIPPET, include_str!("../../templates/snippet.hbs")),
    ("location", include_str!("../../templates/location.hbs")),
    ("answer", include_str!("../../templates/answer.hbs")),
    ("proxy", include_str!("../../templates/proxy.hbs")),
    ("headers", include_str!("../../templates/headers.hbs")),
    ("tls", include_str!("../../templates/tls.hbs")),
    ("traffic", include_str!("../../templates/traffic.hbs")),
];
const VIRTUAL_HOST: &str = "virtual-host";
const UPSTREAM: &str = "upstream";
const SNIPPET: &str = "snippet";

/// Renders with Handlebars templates.
///
/// Templates are compiled once; what is left to do per resource is copying
/// text. One renderer may be used by many threads at a time.
#[derive(Debug)]
pub struct HandlebarsRenderer {
    virtual_host: Program,
    upstream: Program,
    snippet: Program,
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
    /// `snippet`, and `location`, `answer`, `proxy`, `headers`, `tls` and `traffic` that the first includes.
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
            snippet: compile::compile(&sources, SNIPPET, SnippetRecord::SHAPE, &mut used)?,
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
        Ok(work.into_tree())
    }

    fn rerender(
        &self,
        previous: RenderedTree,
        resources: &ResourceSet,
        changed: &BTreeSet<ResourceKey>,
        settings: &RenderSettings,
    ) -> Result<RenderedTree, RenderError> {
        let mut work = Work::new(self, resources, settings, previous);
        let dependents = dependents(resources, changed);
        for key in changed.union(&dependents) {
            work.forget(key);
            if let Some(resource) = resources.get(key) {
                work.add(key, resource)?;
            }
        }
        Ok(work.into_tree())
    }
}

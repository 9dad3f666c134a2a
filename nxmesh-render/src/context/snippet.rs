//! Raw directives in their place.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{ResourceKey, ResourceKind, Snippet, value::ResourceName},
    snippet::{ApprovedSnippet, SnippetContext},
    syntax::parse,
};

use super::Scene;
use crate::handlebars::record::record;

record! {
    /// A snippet.
    SnippetRecord<'a> {
        directives: ApprovedSnippet<'a>,
    }
}

/// The snippets called `names`, each for `context`.
pub(crate) fn named<'a>(
    scene: &Scene<'a>,
    names: &[ResourceName],
    context: SnippetContext,
) -> Result<Vec<SnippetRecord<'a>>, RenderError> {
    let named = names.iter().map(|name| {
        let found = scene.resources.snippet(name).ok_or_else(|| {
            scene.missing(ResourceKey {
                kind: ResourceKind::Snippet,
                name: name.clone(),
            })
        })?;
        record(scene, found, context)
    });
    named.collect()
}

/// A snippet, if it is approved for `context`. What the master checked is
/// checked again: an agent may be stricter than its master.
pub(crate) fn record<'a>(
    scene: &Scene<'_>,
    snippet: &'a Snippet,
    context: SnippetContext,
) -> Result<SnippetRecord<'a>, RenderError> {
    let policy = &scene.settings.snippets;
    let approved = policy
        .approve(context, &snippet.spec.directives)
        .map_err(|error| {
            let name = &snippet.metadata.name;
            scene.unrenderable(format_args!("Snippet/{name}: {error}"))
        })?;
    let upstreams = &snippet.spec.upstreams;
    let directives = approved.passing_to(|name| {
        let known = upstreams.iter().find(|known| known.as_str() == name);
        known.map(|known| scene.upstream(known)).transpose()
    })?;
    Ok(SnippetRecord { directives })
}

/// Whether one of them has a location for every path: a server cannot have two.
pub(crate) fn match_all(snippets: &[SnippetRecord<'_>]) -> bool {
    let mut texts = snippets.iter().map(|snippet| snippet.directives.as_str());
    // Only what was parsed is approved, so that it parses again.
    texts.any(|text| {
        parse(text).is_ok_and(|config| {
            config.directives().iter().any(|directive| {
                let arguments: Vec<&str> = directive
                    .arguments()
                    .iter()
                    .map(|word| word.value())
                    .collect();
                directive.name() == "location" && matches!(arguments[..], ["/"] | ["^~", "/"])
            })
        })
    })
}

//! Which path an upstream is asked for.

use nxmesh_core::model::{
    Action, Location, PathMatch, Proxy, Rewrite, TemplatePart, value::UriPath,
};

use crate::{
    context::{Scene, asked_again, location::pattern},
    handlebars::record::record,
    token::{Part, QuoteError, Word, quote, quote_parts},
};

record! {
    /// A path that matches becomes another. There is never a `?` in it, so the
    /// captures are counted as they are written (CVE-2026-42945).
    RewriteRecord<'a> {
        pattern: Word<'a>,
        to: Word<'a>,
    }
}

/// What nginx itself replaces the path of the location by: what stands behind
/// the upstream in `proxy_pass`.
///
/// It does so neither in a location with a name, as routes and what files fall
/// back to have, nor where the upstream is a variable.
pub(super) fn prefix<'a>(
    scene: &Scene<'_>,
    location: &Location,
    proxy: &'a Proxy,
) -> Option<&'a UriPath> {
    let named = !location.routes.is_empty() || matches!(location.action, Action::Static(_));
    let upstream = scene.resources.upstream(&proxy.upstream);
    let again = upstream.is_some_and(|it| asked_again(scene.settings, it).is_some());
    if named || again || proxy.split.is_some() {
        return None;
    }
    match (proxy.rewrite.as_deref(), &location.path) {
        (_, PathMatch::Regex(_) | PathMatch::RegexIgnoreCase(_)) => None,
        (Some(Rewrite::Prefix(path)), _) => Some(path),
        _ => None,
    }
}

/// What replaces a path where nginx itself does not.
pub(super) fn record<'a>(
    location: &Location,
    rewrite: Option<&'a Rewrite>,
) -> Result<Option<RewriteRecord<'a>>, QuoteError> {
    let (pattern, to) = match rewrite {
        None => return Ok(None),
        Some(Rewrite::Pattern { pattern, to }) => (pattern, to),
        Some(Rewrite::Prefix(prefix)) => return self::replaced(location, prefix).map(Some),
    };
    let parts = to.parts().map(|part| match part {
        TemplatePart::Text(text) => Part::Text(text),
        TemplatePart::Capture(number) => Part::Capture(number),
    });
    Ok(Some(RewriteRecord {
        pattern: quote(pattern.as_str())?,
        to: quote_parts(parts)?,
    }))
}

fn replaced<'a>(location: &Location, prefix: &UriPath) -> Result<RewriteRecord<'a>, QuoteError> {
    let prefix = Part::Text(prefix.as_str());
    Ok(match &location.path {
        PathMatch::Prefix(path) | PathMatch::PrefixPriority(path) => RewriteRecord {
            pattern: quote(&pattern::beginning_with(path.as_str()))?.into_owned(),
            to: quote_parts([prefix, Part::Capture(1)])?,
        },
        PathMatch::Exact(_) | PathMatch::Regex(_) | PathMatch::RegexIgnoreCase(_) => {
            RewriteRecord {
                pattern: Word::fixed("^"),
                to: quote_parts([prefix])?,
            }
        }
    })
}

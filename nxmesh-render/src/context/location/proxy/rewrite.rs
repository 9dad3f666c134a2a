//! Which path an upstream is asked for.

use nxmesh_core::model::{Location, PathMatch, Proxy, Rewrite, TemplatePart, value::UriPath};

use crate::{
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
pub(super) fn prefix<'a>(location: &Location, proxy: &'a Proxy) -> Option<&'a UriPath> {
    match (proxy.rewrite.as_deref(), &location.path) {
        (_, PathMatch::Regex(_) | PathMatch::RegexIgnoreCase(_)) => None,
        (Some(Rewrite::Prefix(path)), _) => Some(path),
        _ => None,
    }
}

pub(super) fn record<'a>(
    rewrite: Option<&'a Rewrite>,
) -> Result<Option<RewriteRecord<'a>>, QuoteError> {
    let Some(Rewrite::Pattern { pattern, to }) = rewrite else {
        return Ok(None);
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

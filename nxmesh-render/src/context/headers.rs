//! Response headers, and which of them a location inherits.

use nxmesh_core::{contract::renderer::RenderError, model::ResponseHeader};

use super::{Scene, traffic::TellingRecord};
use crate::{
    handlebars::record::record,
    token::{Word, quote, quote_expanding},
};

record! {
    /// A header added to responses.
    HeaderRecord<'a> {
        name: Word<'a>,
        value: Word<'a>,
        always: bool,
    }
}

record! {
    /// The headers of answers that send others than those of the host alone.
    OwnHeadersRecord<'a> {
        headers: Vec<HeaderRecord<'a>>,
        /// Those of the host that are sent too.
        inherited_headers: Vec<&'a HeaderRecord<'a>>,
        /// Whether the host's headers are left out.
        inherits_none: bool,
        /// Whether `headers` leave out Strict-Transport-Security.
        inherits_hsts: bool,
        telling: Option<Box<TellingRecord<'a>>>,
    }
}

/// The headers that a place sends.
#[derive(Clone)]
pub(crate) struct Headers<'a> {
    /// All of the host.
    pub(crate) host: &'a [HeaderRecord<'a>],
    /// Those of them that are sent where others are said too.
    pub(crate) inherited: Vec<&'a HeaderRecord<'a>>,
    /// Whether those of the host are not sent at all.
    pub(crate) without_host: bool,
}

/// The most header lines of one virtual host. Those of the host are written
/// again in each location that has its own, so a document of some megabytes
/// could ask for a file of terabytes.
const MAX_LINES: usize = 100_000;

/// Strict-Transport-Security as a name.
const HSTS: &str = "Strict-Transport-Security";

/// The headers of a list, as records.
pub(crate) fn records<'a>(
    scene: &Scene<'_>,
    headers: &'a [ResponseHeader],
) -> Result<Vec<HeaderRecord<'a>>, RenderError> {
    headers
        .iter()
        .map(|header| {
            Ok(HeaderRecord {
                name: quote(header.name.as_str())?,
                value: quote_expanding(header.value.as_str())?,
                always: header.always,
            })
        })
        .collect::<Result<_, crate::token::QuoteError>>()
        .map_err(|error| scene.unrenderable(error))
}

/// Whether a list decides about Strict-Transport-Security itself.
pub(super) fn sets_hsts(headers: &[ResponseHeader]) -> bool {
    has(headers, HSTS)
}

/// Which headers of the host a location with `own` headers sends too: nginx
/// inherits none of them as soon as the location adds one (nginx manual,
/// `add_header`), and those of the same name are overridden.
/// They are written `times` times.
pub(super) fn inherited<'r, 'a>(
    scene: &Scene<'_>,
    host: (&'a [ResponseHeader], &'r [HeaderRecord<'a>]),
    own: &[ResponseHeader],
    times: usize,
    lines: &mut usize,
) -> Result<Vec<&'r HeaderRecord<'a>>, RenderError> {
    *lines += times * (own.len() + host.0.len());
    if *lines > MAX_LINES {
        return Err(scene.unrenderable(format_args!(
            "its locations send more than {MAX_LINES} header lines together"
        )));
    }
    Ok(host
        .0
        .iter()
        .zip(host.1)
        .filter(|(header, _)| !has(own, header.name.as_str()))
        .map(|(_, record)| record)
        .collect())
}

fn has(headers: &[ResponseHeader], name: &str) -> bool {
    headers
        .iter()
        .any(|header| header.name.as_str().eq_ignore_ascii_case(name))
}

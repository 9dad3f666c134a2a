//! Who is turned away before anything else is looked at.
//!
//! nginx works through `if` and `return` before it looks at limits and access.
//! Each location says what counts in it, its own or the host's: what stands in
//! the server would count for all.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        traffic::{Block, Maintenance},
        value::RegexPattern,
    },
};

use super::{InternalRecord, Local, Preamble, clients, cors};
use crate::{
    context::{Scene, location::RespondRecord, virtual_host::Entrance},
    handlebars::record::record,
    token::{Word, quote, quote_lines},
};

record! {
    /// Who is turned away.
    GatesRecord<'a> {
        /// The status with which plain HTTP is led to HTTPS, by what a proxy says.
        to_https: Option<Word<'a>>,
        /// Those of other methods than GET and HEAD with another status.
        others_to_https: Option<GateRecord<'a>>,
        refusals: Vec<GateRecord<'a>>,
        maintenance: Option<DetourRecord<'a>>,
        /// A condition for the preflight requests of other origins.
        preflight: Option<Word<'a>>,
        /// Those who show no key; browsers show none when they ask for leave.
        keys: Option<GateRecord<'a>>,
    }
}

record! {
    /// Those who are answered with a status.
    GateRecord<'a> {
        /// A condition.
        test: Word<'a>,
        status: Word<'a>,
    }
}

record! {
    /// Those who are led elsewhere.
    DetourRecord<'a> {
        /// A condition; absent for all.
        test: Option<Word<'a>>,
        path: Word<'a>,
    }
}

/// The gates of a place.
pub(crate) fn record<'a>(
    scene: &Scene<'_>,
    entrance: &Entrance,
    local: Local<'a, '_>,
    preamble: &mut Preamble<'a>,
) -> Result<Option<Box<GatesRecord<'a>>>, RenderError> {
    let Local { own, host, .. } = local;
    let block = own.block.as_deref().or(host.block.as_deref());
    let maintenance = own.maintenance.as_deref().or(host.maintenance.as_deref());
    let maintenance = maintenance.filter(|it| it.enabled);
    let cors = own.cors.as_deref().or(host.cors.as_deref());
    let asks = own.api_keys.is_some() || host.api_keys.is_some();
    if entrance.is_open() && !asks && block.is_none() && maintenance.is_none() && cors.is_none() {
        return Ok(None);
    }
    let mut refusals = entrance.gates();
    if let Some(block) = block {
        refusals.push(self::block(scene, block, preamble)?);
    }
    let keys = clients::gate(scene, own, host, preamble)?;
    Ok(Some(Box::new(GatesRecord {
        to_https: entrance.to_https(),
        others_to_https: entrance.others_to_https(),
        refusals,
        keys,
        maintenance: maintenance
            .map(|it| self::maintenance(scene, it, local, preamble))
            .transpose()?,
        preflight: cors
            .map(|cors| cors::preflight(scene, cors, preamble))
            .transpose()?
            .map(Word::condition),
    })))
}

/// One variable after the other, so that each is 1 if one before it is.
fn block<'a>(
    scene: &Scene<'_>,
    block: &'a Block,
    preamble: &mut Preamble<'a>,
) -> Result<GateRecord<'a>, RenderError> {
    let mut before = Word::fixed("0");
    if !block.networks.is_empty() {
        before = Word::made_variable(preamble.geo(&block.networks));
    }
    for (source, patterns) in [
        ("http_user_agent", &block.user_agents),
        ("http_referer", &block.referers),
    ] {
        if !patterns.is_empty() {
            let entries = matching(scene, patterns, "~*", &Word::fixed("1"))?;
            let name = preamble.map(Word::variable(source), entries, before);
            before = Word::made_variable(name);
        }
    }
    Ok(GateRecord {
        test: Word::condition(before.to_string().trim_start_matches('$')),
        status: Word::number(block.status.map_or(403, |status| status.get().into())),
    })
}

/// Entries for `patterns`, each with the `value`.
pub(crate) fn matching<'a>(
    scene: &Scene<'_>,
    patterns: &[RegexPattern],
    prefix: &str,
    value: &Word<'a>,
) -> Result<Vec<(Word<'a>, Word<'a>)>, RenderError> {
    let entries = patterns.iter().map(|pattern| {
        let key = quote(&format!("{prefix}{}", pattern.as_str())).map(Word::into_owned)?;
        Ok((key, value.clone()))
    });
    entries
        .collect::<Result<_, crate::token::QuoteError>>()
        .map_err(|error| scene.unrenderable(error))
}

fn maintenance<'a>(
    scene: &Scene<'_>,
    maintenance: &'a Maintenance,
    local: Local<'a, '_>,
    preamble: &mut Preamble<'a>,
) -> Result<DetourRecord<'a>, RenderError> {
    let body = maintenance.body.as_ref().map(|body| body.as_str());
    let retry_after = maintenance.retry_after.map(|time| time.whole_seconds());
    let id = preamble.id([
        "maintenance",
        body.unwrap_or_default(),
        &format!("{} {retry_after:?}", body.is_some()),
        &local.id(),
    ]);
    let mut location = InternalRecord::path("maintenance", &id);
    let path = location.name.clone();
    location.own_headers = match retry_after {
        Some(_) => Some(local.restated(scene, preamble)?),
        None => local.own_headers(scene, preamble)?,
    };
    location.retry_after = retry_after.map(Word::number);
    let body = body.filter(|body| !body.is_empty());
    location.respond = Some(RespondRecord {
        status: Word::number(503),
        body: body
            .map(quote_lines)
            .transpose()
            .map_err(|error| scene.unrenderable(error))?,
        content_type: Word::fixed("text/plain"),
        fixed_type: true,
    });
    preamble.internal(location);
    let test = (!maintenance.except.is_empty()).then(|| {
        let excepted = Word::made_variable(preamble.geo(&maintenance.except));
        let others = vec![(Word::fixed("1"), Word::fixed("0"))];
        Word::condition(preamble.map(excepted, others, Word::fixed("1")))
    });
    Ok(DetourRecord { test, path })
}

//! People with passwords and programs with keys.

use std::fmt::Write as _;

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        TrafficSettings,
        traffic::{ApiKeys, BasicAuth, ExternalAuth, KeyHolders, KeyPlace},
    },
};

use super::{GateRecord, Preamble};
use crate::{
    context::{Scene, location::RequestHeaderRecord},
    handlebars::record::record,
    names,
    token::{QuoteError, Word, quote, quote_expanding},
};

record! {
    /// Who knows a password.
    BasicAuthRecord<'a> {
        /// What they are told, or `off`.
        realm: Word<'a>,
        /// The file with their passwords; absent if nobody is asked.
        users: Option<Word<'a>>,
    }
}

record! {
    /// A variable that is the name of who showed a key, else empty.
    KeysRecord<'a> {
        source: Word<'a>,
        variable: Word<'a>,
        /// The file with keys and names.
        file: Word<'a>,
    }
}

pub(super) fn basic<'a>(
    scene: &Scene<'_>,
    auth: &'a BasicAuth,
    preamble: &mut Preamble<'a>,
) -> Result<BasicAuthRecord<'a>, RenderError> {
    let BasicAuth::Users(users) = auth else {
        return Ok(BasicAuthRecord {
            realm: Word::fixed("off"),
            users: None,
        });
    };
    let mut lines = String::new();
    for user in &users.list {
        // Writing to a string cannot fail.
        writeln!(lines, "{}:{}", user.name, user.password_hash.expose()).unwrap_or_default();
    }
    let file = preamble.secret(lines, names::USERS, true);
    let realm = users.realm.as_ref().map_or("Restricted", |it| it.as_str());
    Ok(BasicAuthRecord {
        realm: quote_expanding(realm).map_err(|error| scene.unrenderable(error))?,
        users: Some(scene.tls_file(&file, "")?),
    })
}

/// The programs that count where settings of its `own` in a `host` do.
fn holders<'s>(own: &'s TrafficSettings, host: &'s TrafficSettings) -> Option<&'s KeyHolders> {
    match own.api_keys.as_deref().or(host.api_keys.as_deref()) {
        Some(ApiKeys::Required(holders)) => Some(holders),
        Some(ApiKeys::None) | None => None,
    }
}

/// Turns away who shows no key.
pub(super) fn gate<'a>(
    scene: &Scene<'_>,
    own: &'a TrafficSettings,
    host: &'a TrafficSettings,
    preamble: &mut Preamble<'a>,
) -> Result<Option<GateRecord<'a>>, RenderError> {
    let Some(holders) = holders(own, host) else {
        return Ok(None);
    };
    let name = variable(scene, holders, preamble)?;
    let rows = vec![(Word::empty(), Word::fixed("1"))];
    let refused = preamble.map(Word::made_variable(name), rows, Word::fixed("0"));
    Ok(Some(GateRecord {
        test: Word::condition(refused),
        status: Word::number(holders.status.map_or(401, |status| status.get().into())),
    }))
}

/// What upstreams are told of keys: who showed one, and not the key itself.
pub(crate) fn key_headers<'a>(
    scene: &Scene<'_>,
    own: &'a TrafficSettings,
    host: &'a TrafficSettings,
    is_set: impl Fn(&str) -> bool,
    preamble: &mut Preamble<'a>,
) -> Result<Vec<RequestHeaderRecord<'a>>, RenderError> {
    let Some(holders) = holders(own, host) else {
        return Ok(Vec::new());
    };
    let quoting = |error: QuoteError| scene.unrenderable(error);
    let mut headers = Vec::new();
    if let KeyPlace::Header(header) = &holders.from
        && !is_set(header.as_str())
    {
        headers.push(RequestHeaderRecord {
            name: quote(header.as_str()).map_err(quoting)?,
            value: Word::empty(),
        });
    }
    if let Some(header) = &holders.name_header {
        headers.push(RequestHeaderRecord {
            name: quote(header.as_str()).map_err(quoting)?,
            value: Word::made_variable(variable(scene, holders, preamble)?),
        });
    }
    Ok(headers)
}

/// The name of the variable that is the name of who showed a key. Keys are
/// patterns, since nginx compares others without regard to case.
fn variable<'a>(
    scene: &Scene<'_>,
    holders: &'a KeyHolders,
    preamble: &mut Preamble<'a>,
) -> Result<String, RenderError> {
    let mut lines = String::new();
    for holder in &holders.list {
        writeln!(lines, "\"~^{}$\" {};", holder.secret.expose(), holder.name).unwrap_or_default();
    }
    let source = match &holders.from {
        KeyPlace::Header(header) => format!("http_{}", header.variable()),
        KeyPlace::Query(name) => format!("arg_{name}"),
    };
    let file = preamble.secret(lines, names::KEYS, false);
    let name = format!("nxmesh_client_{}", preamble.id([&*source, &*file]));
    let variable = Word::made_variable(&name);
    if !preamble.keys.iter().any(|it| it.variable == variable) {
        preamble.keys.push(KeysRecord {
            source: Word::made_variable(source),
            variable,
            file: scene.tls_file(&file, "")?,
        });
    }
    Ok(name)
}

/// Headers that only the upstream of a location is told, or nobody.
pub(crate) fn private_headers<'s>(
    own: &'s TrafficSettings,
    host: &'s TrafficSettings,
) -> Vec<&'s str> {
    let mut headers = Vec::new();
    if let Some(holders) = holders(own, host) {
        if let KeyPlace::Header(header) = &holders.from {
            headers.push(header.as_str());
        }
        headers.extend(holders.name_header.as_ref().map(|header| header.as_str()));
    }
    if let Some(ExternalAuth::Service(service)) = super::authority(own, host) {
        headers.extend(service.copy_headers.iter().map(|header| header.as_str()));
    }
    headers.sort_unstable();
    headers.dedup();
    headers
}

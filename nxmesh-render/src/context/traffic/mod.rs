//! How requests are treated: what a server or a location says of it, and what
//! that needs outside of all servers.

mod access;
mod compression;
mod effective;
mod limits;

use nxmesh_core::{contract::renderer::RenderError, digest::Digest, model::TrafficSettings};

use self::{access::AccessRuleRecord, compression::GzipRecord, limits::LimitRecord};
use super::{
    Scene,
    maps::{GeoRecord, MapRecord, on_or_off},
};
use crate::{
    handlebars::record::{Item, record},
    names::{self, Identity},
    token::Word,
};
pub(crate) use effective::Effective;
pub(crate) use limits::ZoneRecord;

record! {
    /// What a server or a location says; each of these replaces what is said
    /// further out, as in the model.
    TrafficRecord<'a> {
        access: Vec<AccessRuleRecord<'a>>,
        request_limits: Vec<LimitRecord<'a>>,
        request_limit_status: Option<Word<'a>>,
        /// `on` or `off`.
        request_limit_dry_run: Option<Word<'a>>,
        connection_limits: Vec<LimitRecord<'a>>,
        connection_limit_status: Option<Word<'a>>,
        bandwidth: Option<Word<'a>>,
        bandwidth_after: Option<Word<'a>>,
        gzip: Option<GzipRecord<'a>>,
    }
}

/// What the settings of one virtual host need outside of its servers.
pub(crate) struct Preamble<'a> {
    pub(super) identity: Identity,
    pub(crate) geos: Vec<GeoRecord<'a>>,
    pub(crate) maps: Vec<MapRecord<'a>>,
    pub(crate) zones: Vec<ZoneRecord<'a>>,
    guards: usize,
}

impl Preamble<'_> {
    pub(crate) const fn new(identity: Identity) -> Self {
        Self {
            identity,
            geos: Vec::new(),
            maps: Vec::new(),
            zones: Vec::new(),
            guards: 0,
        }
    }

    /// The name of a location that nobody else has.
    pub(crate) fn guard<'w>(&mut self) -> Word<'w> {
        self.guards += 1;
        let number = self.guards.to_string();
        let own = self.identity.digest().as_bytes();
        let id = names::object(Digest::of_parts([&own[..], b"guard", number.as_bytes()]));
        Word::internal_location(&format!("nxmesh_answer_{id}"))
    }
}

/// Whether clients may be refused.
pub(crate) fn guards(settings: &TrafficSettings) -> bool {
    settings.access.is_some()
        || settings.rate_limit.is_some()
        || settings.connection_limit.is_some()
}

/// The record of `settings`; `None` if they say nothing of this.
pub(crate) fn record<'a>(
    scene: &Scene<'a>,
    settings: &'a TrafficSettings,
    preamble: &mut Preamble<'a>,
) -> Result<Option<Box<TrafficRecord<'a>>>, RenderError> {
    let TrafficSettings {
        // These have places of their own.
        policies: _,
        snippets: _,
        response_headers: _,
        max_body_size: _,
        access,
        rate_limit,
        connection_limit,
        bandwidth,
        gzip,
        ..
    } = settings;
    let nothing = access.is_none()
        && rate_limit.is_none()
        && connection_limit.is_none()
        && bandwidth.is_none()
        && gzip.is_none();
    if nothing {
        return Ok(None);
    }
    let mut record = TrafficRecord {
        access: access::rules(scene, access.as_deref())?,
        request_limits: Vec::new(),
        request_limit_status: None,
        request_limit_dry_run: None,
        connection_limits: Vec::new(),
        connection_limit_status: None,
        bandwidth: bandwidth.as_ref().map(|it| Word::own(it.rate)),
        bandwidth_after: bandwidth.as_ref().and_then(|it| it.after).map(Word::own),
        gzip: gzip
            .as_deref()
            .map(|gzip| compression::record(scene, gzip))
            .transpose()?,
    };
    if let Some(limit) = rate_limit {
        record.request_limits = limits::requests(scene, limit, preamble)?;
        record.request_limit_status = Some(limits::status(limit.status));
        if limit.dry_run {
            scene.require("a dry run of rate limits", (1, 17, 1))?;
        }
        record.request_limit_dry_run = scene.nginx_is((1, 17, 1)).then(|| on_or_off(limit.dry_run));
    }
    if let Some(limit) = connection_limit {
        record.connection_limits = limits::connections(scene, limit, preamble)?;
        record.connection_limit_status = Some(limits::status(limit.status));
    }
    Ok(Some(Box::new(record)))
}

/// A list of words of our own or of values that need no quotes.
fn items<'a>(words: impl Iterator<Item = Word<'a>>) -> Vec<Item<'a>> {
    words.map(Item).collect()
}

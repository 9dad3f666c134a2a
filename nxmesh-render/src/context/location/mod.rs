//! Locations and what they do.

mod answer;
mod files;
mod proxy;

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{Action, Location, PathMatch, TrafficSettings},
    snippet::SnippetContext,
};

use self::{answer::RedirectRecord, files::FilesRecord, proxy::ProxyRecord};
use super::{
    Scene,
    headers::{self, HeaderRecord},
    snippet::{self, SnippetRecord},
    traffic::{self, GatesRecord, Preamble, TellingRecord, TrafficRecord},
    virtual_host::Entrance,
};
use crate::{
    handlebars::record::record,
    token::{QuoteError, Word, quote},
};

pub(super) use answer::{RespondRecord, respond};
pub(super) use proxy::RequestHeaderRecord;

record! {
    /// A location; exactly one of its four actions is there.
    LocationRecord<'a> {
        /// `=`, `^~`, `~` or `~*`; absent for a plain prefix.
        modifier: Option<Word<'a>>,
        path: Word<'a>,
        max_body_size: Option<Word<'a>>,
        /// Whether it sends other headers than the host: then all of the next
        /// four count.
        tells: bool,
        headers: Vec<HeaderRecord<'a>>,
        inherited_headers: Vec<&'a HeaderRecord<'a>>,
        /// Whether its own headers leave out Strict-Transport-Security.
        inherits_hsts: bool,
        telling: Option<Box<TellingRecord<'a>>>,
        gates: Option<Box<GatesRecord<'a>>>,
        /// The name of a location of its own for its answer, where limits or
        /// access are to be looked at before.
        guard: Option<Word<'a>>,
        proxy: Option<ProxyRecord<'a>>,
        files: Option<FilesRecord<'a>>,
        redirect: Option<RedirectRecord<'a>>,
        respond: Option<RespondRecord<'a>>,
        snippets: Vec<SnippetRecord<'a>>,
        traffic: Option<Box<TrafficRecord<'a>>>,
    }
}

/// What a location is put into.
pub(super) struct Place<'a, 'p> {
    /// What it says itself.
    pub(super) settings: &'a TrafficSettings,
    /// What the host says.
    pub(super) host: &'a TrafficSettings,
    /// What it asks of every request.
    pub(super) entrance: &'p Entrance,
    /// Whether limits or access count in it.
    pub(super) guarded: bool,
    /// The headers of the host that it sends beside its own.
    pub(super) inherited: Vec<&'a HeaderRecord<'a>>,
}

/// Makes the record of a location.
pub(super) fn record<'a>(
    scene: &Scene<'a>,
    location: &'a Location,
    mut place: Place<'a, '_>,
    preamble: &mut Preamble<'a>,
) -> Result<LocationRecord<'a>, RenderError> {
    let settings = place.settings;
    if settings.real_ip.is_some() {
        return Err(scene.unrenderable(format_args!(
            "the location {} has a real_ip, which only a virtual host can have: nginx takes the address before it looks for a location",
            location.path.as_str()
        )));
    }
    let modifier = match location.path {
        PathMatch::Exact(_) => Some("="),
        PathMatch::Prefix(_) => None,
        PathMatch::PrefixPriority(_) => Some("^~"),
        PathMatch::Regex(_) => Some("~"),
        PathMatch::RegexIgnoreCase(_) => Some("~*"),
    };
    let quoting = |error: QuoteError| scene.unrenderable(error);
    let mut record = LocationRecord {
        modifier: modifier.map(Word::fixed),
        path: quote(location.path.as_str()).map_err(quoting)?,
        max_body_size: settings.max_body_size.map(Word::own),
        tells: traffic::tells(settings),
        headers: headers::records(scene, &settings.response_headers)?,
        inherited_headers: std::mem::take(&mut place.inherited),
        inherits_hsts: !headers::sets_hsts(&settings.response_headers),
        telling: if traffic::tells(settings) {
            traffic::telling(scene, settings, place.host, preamble)?
        } else {
            None
        },
        gates: traffic::gates(scene, place.entrance, settings, place.host, preamble)?,
        guard: match &location.action {
            Action::Respond(_) | Action::Redirect(_) if place.guarded => Some(preamble.guard()),
            _ => None,
        },
        proxy: None,
        files: None,
        redirect: None,
        respond: None,
        snippets: snippet::named(scene, &settings.snippets, SnippetContext::Location)?,
        traffic: traffic::record(scene, settings, place.host, preamble)?,
    };
    match &location.action {
        Action::Proxy(proxy) => {
            record.proxy = Some(proxy::record(scene, location, proxy, &place, preamble)?);
        }
        Action::Static(files) => record.files = Some(files::record(files).map_err(quoting)?),
        Action::Redirect(redirect) => {
            let redirect = answer::redirect(redirect, location).map_err(quoting)?;
            if redirect.relative {
                scene.require("a redirect to a path", (1, 11, 8))?;
            }
            record.redirect = Some(redirect);
        }
        Action::Respond(respond) => {
            record.respond = Some(answer::respond(respond).map_err(quoting)?);
        }
    }
    Ok(record)
}

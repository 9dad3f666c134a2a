//! Locations and what they do.

mod answer;
mod fastcgi;
mod files;
mod grpc;
mod pattern;
mod proxy;
mod route;

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{Action, Location, PathMatch, TrafficSettings},
    snippet::SnippetContext,
};

use self::{
    answer::RedirectRecord, fastcgi::FastCgiRecord, files::FilesRecord, grpc::GrpcRecord,
    proxy::ProxyRecord,
};
use super::{
    Scene,
    headers::{Headers, OwnHeadersRecord},
    snippet::{self, SnippetRecord},
    traffic::{self, Backends, GatesRecord, Local, Preamble, TrafficRecord},
    virtual_host::Entrance,
};
use crate::{
    handlebars::record::record,
    token::{QuoteError, Word, quote},
};

pub(super) use answer::{RespondRecord, respond};
pub(in crate::context) use proxy::{
    RequestHeaderRecord, UpstreamTlsRecord, request_headers, secured, tls as upstream_tls,
};
pub(in crate::context) use route::conditions;

record! {
    /// A location; exactly one of its actions is there.
    LocationRecord<'a> {
        /// `=`, `^~`, `~` or `~*`; absent for a plain prefix.
        modifier: Option<Word<'a>>,
        path: Word<'a>,
        max_body_size: Option<Word<'a>>,
        /// The variable that holds the name of the location for a request, if
        /// this one only leads there.
        dispatch: Option<Word<'a>>,
        /// Absent where it sends the headers of the host alone.
        own_headers: Option<Box<OwnHeadersRecord<'a>>>,
        gates: Option<Box<GatesRecord<'a>>>,
        /// The name of a location of its own for its answer, where limits or
        /// access are to be looked at before.
        guard: Option<Word<'a>>,
        proxy: Option<Box<ProxyRecord<'a>>>,
        grpc: Option<Box<GrpcRecord<'a>>>,
        fastcgi: Option<Box<FastCgiRecord<'a>>>,
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
    /// The headers that it sends.
    pub(super) headers: Headers<'a>,
    /// Of a route a word that only what it does has: a cache keeps it apart.
    pub(super) apart: Option<String>,
}

/// Adds the records of a location: itself, or with routes what leads to one of
/// its actions, and a location for each of those.
pub(super) fn records<'a>(
    scene: &Scene<'a>,
    location: &'a Location,
    place: &Place<'a, '_>,
    preamble: &mut Preamble<'a>,
    into: &mut Vec<LocationRecord<'a>>,
) -> Result<(), RenderError> {
    if place.settings.real_ip.is_some() {
        return Err(scene.unrenderable(format_args!(
            "the location {} has a real_ip, which only a virtual host can have: nginx takes the address before it looks for a location",
            location.path.as_str()
        )));
    }
    let mut record = head(scene, location, place)?;
    if location.routes.is_empty() {
        return act(
            scene,
            location,
            &location.action,
            place,
            preamble,
            record,
            into,
        );
    }
    let own = preamble.guard();
    let names: Vec<Word<'a>> = location.routes.iter().map(|_| preamble.guard()).collect();
    let dispatch = route::dispatch(scene, &location.routes, &names, own.clone(), preamble)?;
    record.dispatch = Some(dispatch);
    into.push(record);
    let routes = location.routes.iter().map(|route| &route.action);
    let actions = std::iter::once(&location.action).chain(routes);
    for (name, action) in std::iter::once(own).chain(names).zip(actions) {
        let mut record = head(scene, location, place)?;
        record.modifier = None;
        record.path = name;
        let place = Place {
            headers: place.headers.clone(),
            apart: Some(preamble.id(["route", &format!("{action:?}")])),
            ..*place
        };
        act(scene, location, action, &place, preamble, record, into)?;
    }
    Ok(())
}

/// The record of a location that does nothing yet.
fn head<'a>(
    scene: &Scene<'_>,
    location: &'a Location,
    place: &Place<'a, '_>,
) -> Result<LocationRecord<'a>, RenderError> {
    let modifier = match location.path {
        PathMatch::Exact(_) => Some("="),
        PathMatch::Prefix(_) => None,
        PathMatch::PrefixPriority(_) => Some("^~"),
        PathMatch::Regex(_) => Some("~"),
        PathMatch::RegexIgnoreCase(_) => Some("~*"),
    };
    Ok(LocationRecord {
        modifier: modifier.map(Word::fixed),
        path: quote(location.path.as_str()).map_err(|error| scene.unrenderable(error))?,
        max_body_size: place.settings.max_body_size.map(Word::own),
        dispatch: None,
        own_headers: None,
        gates: None,
        guard: None,
        proxy: None,
        grpc: None,
        fastcgi: None,
        files: None,
        redirect: None,
        respond: None,
        snippets: Vec::new(),
        traffic: None,
    })
}

/// Adds `record` that does `action`, and the location it may fall back to.
fn act<'a>(
    scene: &Scene<'a>,
    location: &'a Location,
    action: &'a Action,
    place: &Place<'a, '_>,
    preamble: &mut Preamble<'a>,
    mut record: LocationRecord<'a>,
    into: &mut Vec<LocationRecord<'a>>,
) -> Result<(), RenderError> {
    let mut fallback = None;
    let backends = Backends::of(action);
    treat(scene, place, backends, preamble, &mut record)?;
    let quoting = |error: QuoteError| scene.unrenderable(error);
    match action {
        Action::Proxy(proxy) => {
            let proxied = proxy::record(scene, location, proxy, place, preamble)?;
            record.proxy = Some(Box::new(proxied));
        }
        Action::Grpc(grpc) => record.grpc = Some(grpc::record(scene, grpc, place, preamble)?),
        Action::FastCgi(fastcgi) => {
            record.fastcgi = Some(fastcgi::record(scene, fastcgi, place, preamble)?);
        }
        Action::Static(files) => {
            if let Some(proxy) = files.fallback() {
                let mut other = head(scene, location, place)?;
                other.modifier = None;
                other.path = preamble.guard();
                treat(scene, place, backends, preamble, &mut other)?;
                let proxied = proxy::record(scene, location, proxy, place, preamble)?;
                other.proxy = Some(Box::new(proxied));
                fallback = Some(other);
            }
            let name = fallback.as_ref().map(|it| it.path.clone());
            record.files = Some(files::record(files, &location.path, name).map_err(quoting)?);
        }
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
    if place.guarded && matches!(action, Action::Redirect(_) | Action::Respond(_)) {
        record.guard = Some(preamble.guard());
    }
    into.push(record);
    into.extend(fallback);
    Ok(())
}

/// Lets `record` treat requests as its place says, whatever it does with them.
fn treat<'a>(
    scene: &Scene<'a>,
    place: &Place<'a, '_>,
    backends: Backends,
    preamble: &mut Preamble<'a>,
    record: &mut LocationRecord<'a>,
) -> Result<(), RenderError> {
    let Place { settings, host, .. } = *place;
    let local = Local {
        own: settings,
        host,
        headers: &place.headers,
    };
    record.own_headers = local.own_headers(scene, preamble)?;
    record.gates = traffic::gates(scene, place.entrance, local, preamble)?;
    record.snippets = snippet::named(scene, &settings.snippets, SnippetContext::Location)?;
    let apart = place.apart.as_deref();
    record.traffic = traffic::record(scene, local, backends, apart, preamble)?;
    Ok(())
}

/// What is passed on of an external authentication's answer, of who showed a key
/// and of the client's certificate.
fn copied_headers<'a>(
    scene: &Scene<'_>,
    place: &Place<'a, '_>,
    is_set: impl Fn(&str) -> bool,
    preamble: &mut Preamble<'a>,
) -> Result<Vec<RequestHeaderRecord<'a>>, RenderError> {
    let authority = traffic::authority(place.settings, place.host);
    let mut headers = traffic::copied_headers(scene, authority, &is_set, preamble)?;
    let keys = traffic::key_headers(scene, place.settings, place.host, &is_set, preamble)?;
    headers.extend(keys);
    headers.extend(place.entrance.client_headers());
    Ok(headers)
}

/// Whether what an upstream says about other origins is not sent.
fn hides_cors(place: &Place<'_, '_>) -> bool {
    place.settings.cors.is_some() || place.host.cors.is_some()
}

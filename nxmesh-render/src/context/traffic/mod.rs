//! How requests are treated: what a server or a location says of it, and what
//! that needs outside of all servers.

mod access;
mod auth;
mod backends;
mod cache;
mod clients;
mod compression;
mod cors;
mod effective;
mod errors;
mod gates;
mod internal;
mod limits;
mod local;
mod logs;
mod mirror;
mod preamble;
mod real_ip;

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        TrafficSettings,
        traffic::{BasicAuth, Cache, ExternalAuth, LimitLogLevel},
    },
};

use self::{
    auth::AuthRecord,
    cache::{CacheRecord, Kept},
    clients::BasicAuthRecord,
    compression::GzipRecord,
    errors::ErrorPageRecord,
    limits::LimitRecord,
    logs::AccessLogRecord,
    mirror::MirrorRecord,
    real_ip::RealIpRecord,
};
use super::{Scene, maps::on_or_off};
use crate::{
    handlebars::record::{Item, record},
    token::Word,
};
pub(super) use access::{AccessRuleRecord, rules};
pub(super) use auth::copied_headers;
pub(crate) use backends::Backends;
pub(crate) use cache::CacheZoneRecord;
pub(crate) use clients::KeysRecord;
pub(super) use clients::{key_headers, private_headers};
pub(crate) use cors::CorsRecord;
pub(crate) use effective::Effective;
pub(super) use gates::matching;
pub(super) use gates::record as gates;
pub(crate) use gates::{GateRecord, GatesRecord};
use internal::Asked;
pub(crate) use internal::{InternalRecord, PassRecord};
pub(crate) use limits::ZoneRecord;
pub(crate) use local::Local;
pub(crate) use logs::LogFormatRecord;
pub(super) use logs::{ErrorLogRecord, errors as error_log, syslog};
pub(crate) use preamble::{Preamble, Secrets};

record! {
    /// What a server or a location says; each of these replaces what is said
    /// further out, as in the model.
    TrafficRecord<'a> {
        /// Whether requests are passed on over HTTP, and what the next ones say.
        proxy: bool,
        fastcgi: bool,
        grpc: bool,
        access: Vec<AccessRuleRecord<'a>>,
        request_limits: Vec<LimitRecord<'a>>,
        request_limit_status: Option<Word<'a>>,
        /// `on` or `off`.
        request_limit_dry_run: Option<Word<'a>>,
        request_limit_log_level: Option<Word<'a>>,
        connection_limits: Vec<LimitRecord<'a>>,
        connection_limit_status: Option<Word<'a>>,
        /// `on` or `off`.
        connection_limit_dry_run: Option<Word<'a>>,
        connection_limit_log_level: Option<Word<'a>>,
        bandwidth: Option<Word<'a>>,
        bandwidth_after: Option<Word<'a>>,
        gzip: Option<GzipRecord<'a>>,
        basic: Option<BasicAuthRecord<'a>>,
        auth: Option<AuthRecord<'a>>,
        /// `all` or `any`.
        satisfy: Option<Word<'a>>,
        error_pages: Vec<ErrorPageRecord<'a>>,
        /// `on` or `off`.
        intercept_errors: Option<Word<'a>>,
        cache: Option<CacheRecord<'a>>,
        fastcgi_cache: Option<CacheRecord<'a>>,
        mirror: Option<MirrorRecord<'a>>,
        real_ip: Option<RealIpRecord<'a>>,
        access_log: Option<AccessLogRecord<'a>>,
        error_log: Option<ErrorLogRecord<'a>>,
    }
}

record! {
    /// What is told with responses beside the headers of the document.
    TellingRecord<'a> {
        cors: Option<CorsRecord<'a>>,
        /// How it went with the cache.
        cache_status: bool,
    }
}

/// Whether clients may be refused after `return` would have answered them.
pub(crate) fn guards(settings: &TrafficSettings) -> bool {
    settings.access.is_some()
        || settings.rate_limit.is_some()
        || settings.connection_limit.is_some()
        || settings.external_auth.is_some()
        || settings.basic_auth.is_some()
}

/// What is told with responses; `None` for nothing.
pub(super) fn telling<'a>(
    scene: &Scene<'_>,
    own: &'a TrafficSettings,
    host: &'a TrafficSettings,
    preamble: &mut Preamble<'a>,
) -> Result<Option<Box<TellingRecord<'a>>>, RenderError> {
    let cors = own.cors.as_deref().or(host.cors.as_deref());
    let cache = own.cache.as_deref().or(host.cache.as_deref());
    let cache_status = matches!(cache, Some(Cache::Rules(rules)) if rules.status_header);
    if cors.is_none() && !cache_status {
        return Ok(None);
    }
    let cors = cors.map(|cors| cors::record(scene, cors, preamble));
    Ok(Some(Box::new(TellingRecord {
        cors: cors.transpose()?,
        cache_status,
    })))
}

/// Whether `settings` change what is told.
pub(crate) fn tells(settings: &TrafficSettings) -> bool {
    !settings.response_headers.is_empty() || settings.cors.is_some() || settings.cache.is_some()
}

/// Who is asked about requests where settings of its `own` in a `host` count.
pub(crate) fn authority<'s>(
    own: &'s TrafficSettings,
    host: &'s TrafficSettings,
) -> Option<&'s ExternalAuth> {
    let own = own.external_auth.as_deref();
    own.or(host.external_auth.as_deref())
}

/// The record of what counts in a place; `None` if it says nothing of this. What a cache
/// keeps is kept `apart` from what other routes of the place lead to.
pub(crate) fn record<'a>(
    scene: &Scene<'a>,
    local: Local<'a, '_>,
    backends: Backends,
    apart: Option<&str>,
    preamble: &mut Preamble<'a>,
) -> Result<Option<Box<TrafficRecord<'a>>>, RenderError> {
    let Local { own, host, .. } = local;
    let TrafficSettings {
        // These have places of their own.
        policies: _,
        snippets: _,
        response_headers: _,
        max_body_size: _,
        block: _,
        maintenance: _,
        cors: _,
        api_keys,
        access,
        basic_auth,
        external_auth,
        satisfy,
        error_pages: _,
        intercept_errors,
        cache,
        mirror,
        real_ip,
        access_log,
        error_log,
        rate_limit,
        connection_limit,
        bandwidth,
        gzip,
    } = own;
    // What a cache keeps depends on what upstreams are told of clients: where that changes, a
    // cache of the host has another key.
    let renamed =
        api_keys.is_some() || external_auth.is_some() || basic_auth.is_some() || apart.is_some();
    let cache = cache.as_ref().or(host.cache.as_ref().filter(|_| renamed));
    let nothing = access.is_none()
        && basic_auth.is_none()
        && external_auth.is_none()
        && satisfy.is_none()
        && !errors::are_said(local, backends)
        && intercept_errors.is_none()
        && cache.is_none()
        && mirror.is_none()
        && real_ip.is_none()
        && access_log.is_none()
        && error_log.is_none()
        && rate_limit.is_none()
        && connection_limit.is_none()
        && bandwidth.is_none()
        && gzip.is_none();
    if nothing {
        return Ok(None);
    }
    // What a field says further out does not count where the field is there again.
    let over = (!std::ptr::eq(own, host)).then_some(host);
    let outer_bandwidth = over.and_then(|it| it.bandwidth.as_ref());
    let outer_after = outer_bandwidth.and_then(|it| it.after);
    let mut kept = |kept, is: bool| {
        let Some(cache) = cache.filter(|_| is) else {
            return Ok(None);
        };
        let mut told = told_of_clients(scene, own, host, preamble)?;
        told.extend(apart.map(str::to_owned));
        let outer = over.and_then(|it| it.cache.as_deref());
        cache::record(scene, kept, cache, outer, &told, preamble).map(Some)
    };
    let (proxy_cache, fastcgi_cache) = (
        kept(Kept::OfUpstreams, backends.proxy)?,
        kept(Kept::OfFastCgi, backends.fastcgi)?,
    );
    let mut record = TrafficRecord {
        proxy: backends.proxy,
        fastcgi: backends.fastcgi,
        grpc: backends.grpc,
        access: access::rules(scene, access.as_deref())?,
        request_limits: Vec::new(),
        request_limit_status: None,
        request_limit_dry_run: None,
        request_limit_log_level: None,
        connection_limits: Vec::new(),
        connection_limit_status: None,
        connection_limit_dry_run: None,
        connection_limit_log_level: None,
        bandwidth: bandwidth.as_ref().map(|it| Word::own(it.rate)),
        bandwidth_after: bandwidth.as_ref().and_then(|it| match it.after {
            None => outer_after.map(|_| Word::number(0)),
            after => after.map(Word::own),
        }),
        gzip: gzip
            .as_deref()
            .map(|gzip| compression::record(scene, gzip, over.and_then(|it| it.gzip.as_deref())))
            .transpose()?,
        basic: basic_auth
            .as_deref()
            .map(|auth| clients::basic(scene, auth, preamble))
            .transpose()?,
        auth: external_auth
            .as_deref()
            .map(|auth| auth::record(scene, auth, &private_headers(own, host), preamble))
            .transpose()?,
        satisfy: auth::satisfy(own),
        error_pages: errors::records(scene, local, backends, preamble)?,
        intercept_errors: intercept_errors.map(on_or_off),
        cache: proxy_cache,
        fastcgi_cache,
        mirror: mirror
            .as_deref()
            .map(|mirror| mirror::record(scene, mirror, &private_headers(own, host), preamble))
            .transpose()?,
        real_ip: real_ip
            .as_deref()
            .map(|real_ip| real_ip::record(scene, real_ip))
            .transpose()?,
        access_log: access_log
            .as_deref()
            .map(|log| logs::access(scene, log, preamble))
            .transpose()?,
        error_log: error_log
            .as_deref()
            .map(|log| logs::errors(scene, log))
            .transpose()?,
    };
    if let Some(limit) = rate_limit {
        record.request_limits = limits::requests(scene, limit, preamble)?;
        record.request_limit_status = Some(limits::status(limit.status));
        if limit.dry_run {
            scene.require("a dry run of rate limits", (1, 17, 1))?;
        }
        record.request_limit_dry_run = scene.nginx_is((1, 17, 1)).then(|| on_or_off(limit.dry_run));
        let outer = over.and_then(|it| it.rate_limit.as_deref());
        record.request_limit_log_level = level(limit.log_level, outer.and_then(|it| it.log_level));
    }
    if let Some(limit) = connection_limit {
        record.connection_limits = limits::connections(scene, limit, preamble)?;
        record.connection_limit_status = Some(limits::status(limit.status));
        let outer = over.and_then(|it| it.connection_limit.as_deref());
        if limit.dry_run {
            scene.require("a dry run of connection limits", (1, 17, 6))?;
        }
        record.connection_limit_dry_run =
            (limit.dry_run || outer.is_some_and(|it| it.dry_run)).then(|| on_or_off(limit.dry_run));
        let outer = outer.and_then(|it| it.log_level);
        record.connection_limit_log_level = level(limit.log_level, outer);
    }
    Ok(Some(Box::new(record)))
}

/// The variables that say to upstreams who a client is. A password goes to them too.
fn told_of_clients<'a>(
    scene: &Scene<'_>,
    own: &'a TrafficSettings,
    host: &'a TrafficSettings,
    preamble: &mut Preamble<'a>,
) -> Result<Vec<String>, RenderError> {
    let mut headers = key_headers(scene, own, host, |_| false, preamble)?;
    let service = authority(own, host);
    headers.extend(auth::copied_headers(scene, service, |_| false, preamble)?);
    let values = headers.into_iter().map(|header| header.value.to_string());
    let basic = own.basic_auth.as_deref().or(host.basic_auth.as_deref());
    let asked = matches!(basic, Some(BasicAuth::Users(_)));
    let password = asked.then(|| "$http_authorization".to_owned());
    let values = values.filter(|value| value.starts_with('$'));
    Ok(values.chain(password).collect())
}

/// How loud a limit is; as by default where that was said further out.
fn level<'a>(own: Option<LimitLogLevel>, outer: Option<LimitLogLevel>) -> Option<Word<'a>> {
    let default = outer.map(|_| LimitLogLevel::Error);
    own.or(default).map(|it| Word::fixed(it.as_str()))
}

/// A list of words of our own or of values that need no quotes.
fn items<'a>(words: impl Iterator<Item = Word<'a>>) -> Vec<Item<'a>> {
    words.map(Item).collect()
}

//! Passing requests to an upstream.

mod details;
mod forwarded;
mod rewrite;
mod split;
mod tls;

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{HttpVersion, Location, Proxy, RequestHeader, RequestHeaderValue, Variable},
};

use self::details::DetailsRecord;
pub(super) use self::details::{RetryRecord, names, retry};
pub(super) use self::forwarded::headers as forwarded;
pub(in crate::context) use self::tls::{UpstreamTlsRecord, record as tls, secured};
use super::{Place, copied_headers, hides_cors};
use crate::{
    context::{ResolverRecord, Scene, maps, traffic::Preamble},
    handlebars::record::record,
    token::{Part, Word, quote, quote_expanding, quote_parts},
};

record! {
    /// Passing to an upstream. The flags `default_…` say which usual request
    /// headers the user did not set otherwise.
    ProxyRecord<'a> {
        /// `http` or `https`.
        scheme: Word<'a>,
        /// How TLS is spoken with `https`.
        tls: Option<Box<UpstreamTlsRecord<'a>>>,
        upstream: Word<'a>,
        /// The whole URL, where it is more than scheme and upstream.
        url: Option<Word<'a>>,
        /// Who is asked for the addresses of what the URL names.
        resolver: Option<ResolverRecord<'a>>,
        /// HTTP/1.0 instead of 1.1.
        http_1_0: bool,
        websocket: bool,
        /// What it says about other origins is not sent.
        hides_cors: bool,
        default_host: bool,
        default_real_ip: bool,
        default_forwarded_for: bool,
        default_forwarded_proto: bool,
        default_proxy: bool,
        request_headers: Vec<RequestHeaderRecord<'a>>,
        connect_timeout: Option<Word<'a>>,
        read_timeout: Option<Word<'a>>,
        send_timeout: Option<Word<'a>>,
        /// `on` or `off`.
        buffering: Option<Word<'a>>,
        /// What few say something about.
        details: Option<Box<DetailsRecord<'a>>>,
    }
}

record! {
    /// A header of the request to the upstream; an empty value removes it.
    RequestHeaderRecord<'a> {
        name: Word<'a>,
        value: Word<'a>,
    }
}

pub(super) fn record<'a>(
    scene: &Scene<'_>,
    location: &'a Location,
    proxy: &'a Proxy,
    place: &Place<'a, '_>,
    preamble: &mut Preamble<'a>,
) -> Result<ProxyRecord<'a>, RenderError> {
    let target = scene.target(&proxy.upstream)?;
    let upstream = target.name;
    let default = |name: &str| !sets(&proxy.request_headers, name);
    let usual = proxy.forwarded.is_none();
    let scheme = proxy.scheme.as_str();
    let url = match (&proxy.split, rewrite::prefix(scene, location, proxy)) {
        (None, None) if target.resolver.is_some() => {
            let parts = [
                Part::Text(scheme),
                Part::Text("://"),
                Part::Variable(&upstream),
            ];
            Some(quote_parts(parts))
        }
        (None, None) => None,
        (Some(split), _) => {
            scene.upstream(&proxy.upstream)?;
            let name = split::variable(scene, split, &upstream, preamble)?;
            let parts = [Part::Text(scheme), Part::Text("://"), Part::Variable(&name)];
            Some(quote_parts(parts))
        }
        (None, Some(path)) => {
            let parts = [scheme, "://", &upstream, path.as_str()];
            Some(quote_parts(parts.map(Part::Text)))
        }
    };
    let url = url.transpose().map_err(|error| scene.unrenderable(error))?;
    let mut record = ProxyRecord {
        scheme: Word::fixed(scheme),
        tls: secured(scene, proxy.scheme, proxy.tls.as_deref())?,
        upstream: Word::own(upstream),
        url,
        resolver: target.resolver,
        http_1_0: proxy.http_version == HttpVersion::Http10,
        websocket: proxy.websocket,
        hides_cors: hides_cors(place),
        default_host: default("Host"),
        default_real_ip: usual && default("X-Real-IP"),
        default_forwarded_for: usual && default("X-Forwarded-For"),
        default_forwarded_proto: usual && default("X-Forwarded-Proto"),
        default_proxy: default("Proxy"),
        request_headers: request_headers(scene, &proxy.request_headers, preamble)?,
        connect_timeout: proxy.timeouts.connect.map(Word::own),
        read_timeout: proxy.timeouts.read.map(Word::own),
        send_timeout: proxy.timeouts.send.map(Word::own),
        buffering: proxy.buffering.map(maps::on_or_off),
        details: details::record(scene, location, proxy, place)?,
    };
    let is_set = |name: &str| sets(&proxy.request_headers, name);
    let copied = copied_headers(scene, place, is_set, preamble)?;
    record.request_headers.extend(copied);
    let forwarded = proxy.forwarded.as_deref();
    let forwarded = forwarded::headers(scene, forwarded, &proxy.request_headers, preamble)?;
    record.request_headers.extend(forwarded);
    Ok(record)
}

/// Whether one of `headers` is called `name`.
pub(super) fn sets(headers: &[RequestHeader], name: &str) -> bool {
    let mut names = headers.iter().map(|header| header.name.as_str());
    names.any(|own| own.eq_ignore_ascii_case(name))
}

pub(in crate::context) fn request_headers<'a>(
    scene: &Scene<'_>,
    headers: &'a [RequestHeader],
    preamble: &mut Preamble<'a>,
) -> Result<Vec<RequestHeaderRecord<'a>>, RenderError> {
    let records = headers
        .iter()
        .map(|header| request_header(scene, header, preamble));
    records.collect()
}

fn request_header<'a>(
    scene: &Scene<'_>,
    header: &'a RequestHeader,
    preamble: &mut Preamble<'a>,
) -> Result<RequestHeaderRecord<'a>, RenderError> {
    let value = match &header.value {
        RequestHeaderValue::Text(text) => quote_expanding(text.as_str()),
        RequestHeaderValue::Variable(variable) => {
            if *variable == Variable::RequestId {
                scene.require("the variable request_id", (1, 11, 0))?;
            }
            Ok(Word::variable(variable.nginx_name()))
        }
        RequestHeaderValue::Append(text) => {
            let sent = maps::header_variable(header.name.as_str());
            // Nothing stands before the comma if the client sent nothing.
            let before = quote_parts([Part::Variable(&sent), Part::Text(", ")])
                .map_err(|error| scene.unrenderable(error))?;
            let before = preamble.map(
                Word::made_variable(&sent),
                vec![(Word::empty(), Word::empty())],
                before,
            );
            quote_parts([Part::Variable(&before), Part::Text(text.as_str())])
        }
        RequestHeaderValue::Remove => Ok(Word::empty()),
    };
    quote(header.name.as_str())
        .and_then(|name| {
            Ok(RequestHeaderRecord {
                name,
                value: value?,
            })
        })
        .map_err(|error| scene.unrenderable(error))
}

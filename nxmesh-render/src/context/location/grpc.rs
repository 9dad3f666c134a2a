//! Passing gRPC requests to an upstream.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{Grpc, UpstreamScheme},
};

use super::{
    Place, copied_headers, hides_cors,
    proxy::{
        RequestHeaderRecord, RetryRecord, UpstreamTlsRecord, forwarded, names, request_headers,
        retry, secured, sets,
    },
};
use crate::{
    context::{ResolverRecord, Scene, traffic::Preamble},
    handlebars::record::{Item, record},
    token::{Part, Word, quote_parts},
};

record! {
    /// Passing gRPC to an upstream.
    GrpcRecord<'a> {
        /// `grpc` or `grpcs`.
        scheme: Word<'a>,
        upstream: Word<'a>,
        /// The whole URL, where it names a variable.
        url: Option<Word<'a>>,
        /// Who is asked for its addresses.
        resolver: Option<ResolverRecord<'a>>,
        /// How TLS is spoken with `grpcs`.
        tls: Option<Box<UpstreamTlsRecord<'a>>>,
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
        socket_keepalive: bool,
        buffer: Option<Word<'a>>,
        retry: Option<RetryRecord<'a>>,
        hide_headers: Vec<Item<'a>>,
        /// Whether nginx's errors are told as a status of gRPC.
        grpc_errors: bool,
    }
}

pub(super) fn record<'a>(
    scene: &Scene<'_>,
    grpc: &'a Grpc,
    place: &Place<'a, '_>,
    preamble: &mut Preamble<'a>,
) -> Result<Box<GrpcRecord<'a>>, RenderError> {
    scene.require("gRPC", (1, 13, 10))?;
    if grpc.socket_keepalive {
        scene.require("socket_keepalive", (1, 15, 6))?;
    }
    let default = |name: &str| !sets(&grpc.request_headers, name);
    let again = grpc.retry.as_deref();
    let mut headers = request_headers(scene, &grpc.request_headers, preamble)?;
    let is_set = |name: &str| sets(&grpc.request_headers, name);
    headers.extend(copied_headers(scene, place, is_set, preamble)?);
    let usual = grpc.forwarded.is_none();
    let set = &grpc.request_headers;
    headers.extend(forwarded(scene, grpc.forwarded.as_deref(), set, preamble)?);
    preamble.grpc_errors |= !grpc.http_errors;
    let target = scene.target(&grpc.upstream)?;
    let scheme = match grpc.scheme {
        UpstreamScheme::Http => "grpc",
        UpstreamScheme::Https => "grpcs",
    };
    let url = if target.resolver.is_some() {
        scene.require("resolve for gRPC", (1, 17, 8))?;
        let parts = [
            Part::Text(scheme),
            Part::Text("://"),
            Part::Variable(&target.name),
        ];
        Some(quote_parts(parts).map_err(|error| scene.unrenderable(error))?)
    } else {
        None
    };
    Ok(Box::new(GrpcRecord {
        scheme: Word::fixed(scheme),
        upstream: target.word(),
        url: url.map(Word::into_owned),
        resolver: target.resolver,
        tls: secured(scene, grpc.scheme, grpc.tls.as_deref())?,
        hides_cors: hides_cors(place),
        default_host: default("Host"),
        default_real_ip: usual && default("X-Real-IP"),
        default_forwarded_for: usual && default("X-Forwarded-For"),
        default_forwarded_proto: usual && default("X-Forwarded-Proto"),
        default_proxy: default("Proxy"),
        request_headers: headers,
        connect_timeout: grpc.timeouts.connect.map(Word::own),
        read_timeout: grpc.timeouts.read.map(Word::own),
        send_timeout: grpc.timeouts.send.map(Word::own),
        socket_keepalive: grpc.socket_keepalive,
        buffer: grpc.buffer.map(Word::own),
        retry: again.map(|again| retry(scene, again)).transpose()?,
        hide_headers: names(&grpc.hide_headers).map_err(|error| scene.unrenderable(error))?,
        grpc_errors: !grpc.http_errors,
    }))
}

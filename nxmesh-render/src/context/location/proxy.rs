//! Passing requests to an upstream.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        Proxy, RequestHeader, RequestHeaderValue, ResourceKey, ResourceKind, UpstreamScheme,
        Variable, value::WorkspaceName,
    },
};

use crate::{
    context::Scene,
    handlebars::record::record,
    names::Identity,
    token::{Word, quote, quote_expanding},
};

record! {
    /// Passing to an upstream. The flags `default_…` say which usual request
    /// headers the user did not set otherwise.
    ProxyRecord<'a> {
        /// `http` or `https`.
        scheme: Word<'a>,
        tls: bool,
        upstream: Word<'a>,
        websocket: bool,
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
    workspace: &WorkspaceName,
    proxy: &'a Proxy,
) -> Result<ProxyRecord<'a>, RenderError> {
    if scene.resources.upstream(&proxy.upstream).is_none() {
        return Err(scene.missing(ResourceKey {
            kind: ResourceKind::Upstream,
            name: proxy.upstream.clone(),
        }));
    }
    let upstream = Identity::of(workspace, ResourceKind::Upstream, &proxy.upstream).upstream();
    let default = |name: &str| {
        !proxy
            .request_headers
            .iter()
            .any(|header| header.name.as_str().eq_ignore_ascii_case(name))
    };
    let (scheme, tls) = match proxy.scheme {
        UpstreamScheme::Http => ("http", false),
        UpstreamScheme::Https => ("https", true),
    };
    let request_headers = proxy
        .request_headers
        .iter()
        .map(|header| request_header(scene, header))
        .collect::<Result<_, _>>()?;
    Ok(ProxyRecord {
        scheme: Word::fixed(scheme),
        tls,
        upstream: Word::own(upstream),
        websocket: proxy.websocket,
        default_host: default("Host"),
        default_real_ip: default("X-Real-IP"),
        default_forwarded_for: default("X-Forwarded-For"),
        default_forwarded_proto: default("X-Forwarded-Proto"),
        default_proxy: default("Proxy"),
        request_headers,
        connect_timeout: proxy.timeouts.connect.map(Word::own),
        read_timeout: proxy.timeouts.read.map(Word::own),
        send_timeout: proxy.timeouts.send.map(Word::own),
        buffering: proxy
            .buffering
            .map(|on| Word::fixed(if on { "on" } else { "off" })),
    })
}

fn request_header<'a>(
    scene: &Scene<'_>,
    header: &'a RequestHeader,
) -> Result<RequestHeaderRecord<'a>, RenderError> {
    let value = match &header.value {
        RequestHeaderValue::Text(text) => quote_expanding(text.as_str()),
        RequestHeaderValue::Variable(variable) => {
            if *variable == Variable::RequestId {
                scene.require("the variable request_id", (1, 11, 0))?;
            }
            Ok(Word::variable(variable.nginx_name()))
        }
        RequestHeaderValue::Remove => quote(""),
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

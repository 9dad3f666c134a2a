//! Locations and what they do.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        Action, Location, PathMatch, Proxy, Redirect, RequestHeader, RequestHeaderValue,
        ResourceKey, ResourceKind, Respond, StaticFiles, TrafficSettings, UpstreamScheme, Variable,
        value::WorkspaceName,
    },
    snippet::SnippetContext,
};

use super::{
    Scene,
    headers::{self, HeaderRecord},
    snippet::{self, SnippetRecord},
    traffic::{self, Preamble, TrafficRecord},
};
use crate::{
    handlebars::record::{Item, record},
    names::Identity,
    token::{QuoteError, Word, quote, quote_expanding, quote_expanding_before},
};

record! {
    /// A location; exactly one of its four actions is there.
    LocationRecord<'a> {
        /// `=`, `^~`, `~` or `~*`; absent for a plain prefix.
        modifier: Option<Word<'a>>,
        path: Word<'a>,
        max_body_size: Option<Word<'a>>,
        /// Its own headers; when there are any, the next two count too.
        headers: Vec<HeaderRecord<'a>>,
        inherited_headers: Vec<&'a HeaderRecord<'a>>,
        /// Whether its own headers leave out Strict-Transport-Security.
        inherits_hsts: bool,
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

record! {
    /// Files from a folder.
    FilesRecord<'a> {
        root: Word<'a>,
        index: Vec<Item<'a>>,
    }
}

record! {
    /// A redirect.
    RedirectRecord<'a> {
        code: Word<'a>,
        target: Word<'a>,
        /// The target is a path, not a URL.
        relative: bool,
    }
}

record! {
    /// A fixed response.
    RespondRecord<'a> {
        status: Word<'a>,
        body: Word<'a>,
        content_type: Word<'a>,
    }
}

/// What a location is put into.
pub(super) struct Place<'a> {
    pub(super) workspace: &'a WorkspaceName,
    /// What counts in it.
    pub(super) settings: &'a TrafficSettings,
    /// Whether limits or access count in it.
    pub(super) guarded: bool,
    /// The headers of the host that it sends beside its own.
    pub(super) inherited: Vec<&'a HeaderRecord<'a>>,
}

/// Makes the record of a location.
pub(super) fn record<'a>(
    scene: &Scene<'a>,
    location: &'a Location,
    place: Place<'a>,
    preamble: &mut Preamble<'a>,
) -> Result<LocationRecord<'a>, RenderError> {
    let settings = place.settings;
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
        headers: headers::records(scene, &settings.response_headers)?,
        inherited_headers: place.inherited,
        inherits_hsts: !headers::sets_hsts(&settings.response_headers),
        guard: match &location.action {
            Action::Respond(_) | Action::Redirect(_) if place.guarded => Some(preamble.guard()),
            _ => None,
        },
        proxy: None,
        files: None,
        redirect: None,
        respond: None,
        snippets: snippet::named(scene, &settings.snippets, SnippetContext::Location)?,
        traffic: traffic::record(scene, settings, preamble)?,
    };
    match &location.action {
        Action::Proxy(proxy) => record.proxy = Some(self::proxy(scene, place.workspace, proxy)?),
        Action::Static(files) => record.files = Some(self::files(files).map_err(quoting)?),
        Action::Redirect(redirect) => {
            let redirect = self::redirect(redirect).map_err(quoting)?;
            if redirect.relative {
                scene.require("a redirect to a path", (1, 11, 8))?;
            }
            record.redirect = Some(redirect);
        }
        Action::Respond(respond) => {
            record.respond = Some(self::respond(respond).map_err(quoting)?);
        }
    }
    Ok(record)
}

fn proxy<'a>(
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

fn files(files: &StaticFiles) -> Result<FilesRecord<'_>, QuoteError> {
    Ok(FilesRecord {
        root: quote_expanding(files.root.as_str())?,
        index: files
            .index
            .iter()
            .map(|name| quote_expanding(name.as_str()).map(Item))
            .collect::<Result<_, _>>()?,
    })
}

fn redirect(redirect: &Redirect) -> Result<RedirectRecord<'_>, QuoteError> {
    let to = redirect.to.as_str();
    Ok(RedirectRecord {
        code: Word::number(redirect.code.get().into()),
        target: if redirect.append_request_uri {
            quote_expanding_before(to, "${request_uri}")?
        } else {
            quote_expanding(to)?
        },
        relative: to.starts_with('/'),
    })
}

fn respond(respond: &Respond) -> Result<RespondRecord<'_>, QuoteError> {
    let body = respond.body.as_str();
    Ok(RespondRecord {
        status: Word::number(respond.status.get().into()),
        // For an error without text nginx would send a page of its own.
        body: if body.is_empty() && respond.status.get() >= 400 {
            Word::variable("nxmesh_empty")
        } else {
            quote_expanding(body)?
        },
        content_type: match &respond.content_type {
            Some(content_type) => quote(content_type.as_str())?,
            None => Word::fixed("text/plain"),
        },
    })
}

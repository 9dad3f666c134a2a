//! Asking another service about each request.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        TrafficSettings,
        traffic::{AuthService, ExternalAuth, Satisfy},
        value::{HeaderVariable, RedirectTarget},
    },
};

use super::{Asked, InternalRecord, PassRecord, Preamble, cache};
use crate::{
    context::{
        Scene,
        location::{self, RequestHeaderRecord},
    },
    handlebars::record::record,
    placement::back,
    token::{Part, QuoteError, Word, quote, quote_expanding, quote_parts},
};

record! {
    /// Who is asked about a request.
    AuthRecord<'a> {
        /// The path that leads there, or `off`.
        path: Word<'a>,
        copies: Vec<CopyRecord<'a>>,
    }
}

record! {
    /// A header of the answer that is kept.
    CopyRecord<'a> {
        variable: Word<'a>,
        value: Word<'a>,
    }
}

pub(super) fn record<'a>(
    scene: &Scene<'_>,
    auth: &'a ExternalAuth,
    cleared: &[&'a str],
    preamble: &mut Preamble<'a>,
) -> Result<AuthRecord<'a>, RenderError> {
    let ExternalAuth::Service(service) = auth else {
        return Ok(AuthRecord {
            path: Word::fixed("off"),
            copies: Vec::new(),
        });
    };
    scene.require_module("external_auth", "http_auth_request_module")?;
    let is_set = |name: &str| {
        let mut own = service.request_headers.iter();
        own.any(|header| header.name.as_str().eq_ignore_ascii_case(name))
    };
    let cleared: Vec<&str> = cleared
        .iter()
        .copied()
        .filter(|name| !is_set(name))
        .collect();
    let asked = Asked {
        upstream: &service.upstream,
        scheme: service.scheme,
        tls: service.tls.as_deref(),
    };
    let mut pass = PassRecord::to(scene, &asked, service.path.as_str(), &cleared)?;
    pass.method = service.method.as_ref().map(Word::own);
    pass.headers = location::request_headers(scene, &service.request_headers, preamble)?;
    let asked = pass.id("auth", preamble);
    if let Some(kept) = &service.cache {
        pass.cache = Some(cache::decisions(scene, &asked, kept, preamble)?);
    }
    let mut internal = InternalRecord::path("auth", &pass.id("auth", preamble));
    let path = internal.name.clone();
    internal.auth = Some(pass);
    preamble.internal(internal);
    let id = id(service, preamble);
    let copies = service.copy_headers.iter().map(|header| CopyRecord {
        variable: copied(header, &id, preamble),
        value: Word::made_variable(format!("upstream_http_{}", header.variable())),
    });
    Ok(AuthRecord {
        path,
        copies: copies.collect(),
    })
}

/// The headers that a request to the upstream gets from the service's answer,
/// but for those that are set otherwise.
pub(crate) fn copied_headers<'a>(
    scene: &Scene<'_>,
    effective: Option<&'a ExternalAuth>,
    is_set: impl Fn(&str) -> bool,
    preamble: &Preamble<'_>,
) -> Result<Vec<RequestHeaderRecord<'a>>, RenderError> {
    let Some(ExternalAuth::Service(service)) = effective else {
        return Ok(Vec::new());
    };
    let id = id(service, preamble);
    let headers = service.copy_headers.iter();
    headers
        .filter(|header| !is_set(header.as_str()))
        .map(|header| {
            Ok(RequestHeaderRecord {
                name: quote(header.as_str())?,
                value: copied(header, &id, preamble),
            })
        })
        .collect::<Result<_, QuoteError>>()
        .map_err(|error| scene.unrenderable(error))
}

/// Where clients without credentials are sent, with what they asked for.
pub(super) fn sign_in<'a>(
    scene: &Scene<'_>,
    effective: Option<&ExternalAuth>,
    preamble: &mut Preamble<'a>,
) -> Result<Option<Word<'a>>, RenderError> {
    let Some(ExternalAuth::Service(service)) = effective else {
        return Ok(None);
    };
    let Some(to) = &service.sign_in else {
        return Ok(None);
    };
    led(scene, to, true, preamble).map(Some)
}

/// Where clients are led instead of being told an error: to a URL, or a path of the host
/// that was asked for, and behind it `with_asked` what they asked for.
pub(super) fn led<'a>(
    scene: &Scene<'_>,
    to: &RedirectTarget,
    with_asked: bool,
    preamble: &mut Preamble<'a>,
) -> Result<Word<'a>, RenderError> {
    // A path nginx would look for itself, instead of leading there.
    let is_path = to.as_str().starts_with('/');
    if !is_path && !with_asked {
        let to = quote_expanding(to.as_str()).map(Word::into_owned);
        return to.map_err(|error| scene.unrenderable(error));
    }
    let scheme = preamble.scheme();
    let host = [
        Part::Variable(&scheme),
        Part::Text("://"),
        Part::Variable("host"),
        Part::Variable(back::PORT),
    ];
    let mut parts = Vec::with_capacity(10);
    if is_path {
        parts.extend(host);
    }
    parts.push(Part::Text(to.as_str()));
    if with_asked {
        parts.extend(host);
        parts.push(Part::Variable(back::URI));
    }
    quote_parts(parts).map_err(|error| scene.unrenderable(error))
}

/// `all` or `any`.
pub(super) fn satisfy<'a>(settings: &TrafficSettings) -> Option<Word<'a>> {
    settings.satisfy.map(|satisfy| {
        Word::fixed(match satisfy {
            Satisfy::All => "all",
            Satisfy::Any => "any",
        })
    })
}

fn id(service: &AuthService, preamble: &Preamble<'_>) -> String {
    preamble.id(["auth", service.upstream.as_str(), service.path.as_str()])
}

/// The variable that keeps a header of the answer.
fn copied<'w>(header: &HeaderVariable, service: &str, preamble: &Preamble<'_>) -> Word<'w> {
    let id = preamble.id([service, header.as_str()]);
    Word::made_variable(format!("nxmesh_var_{id}"))
}

//! What is sent instead of error pages.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::traffic::{ErrorAnswer, ErrorPage},
};

use super::{Asked, Backends, InternalRecord, Local, PassRecord, Preamble, auth};
use crate::{
    context::{Scene, location},
    handlebars::record::{Item, record},
    token::{Word, quote_expanding},
};

record! {
    /// What is sent for some errors.
    ErrorPageRecord<'a> {
        codes: Vec<Item<'a>>,
        /// `=` or with a status; absent where the error keeps its own.
        status: Option<Word<'a>>,
        to: Word<'a>,
    }
}

/// Whether a place says what is sent for errors: also where it sends headers of its own,
/// which the pages of the host would not have.
pub(super) fn are_said(local: Local<'_, '_>, backends: Backends) -> bool {
    let Local { own, host, .. } = local;
    // Clients of gRPC expect its own errors.
    let has_own_headers = local.tells() && !backends.grpc;
    !own.error_pages.is_empty() || (has_own_headers && !host.error_pages.is_empty())
}

/// The pages of a place: all that count, as nginx inherits none of them as soon as one
/// is there.
pub(super) fn records<'a>(
    scene: &Scene<'a>,
    local: Local<'a, '_>,
    backends: Backends,
    preamble: &mut Preamble<'a>,
) -> Result<Vec<ErrorPageRecord<'a>>, RenderError> {
    let Local { own, host, .. } = local;
    if !are_said(local, backends) && own.external_auth.is_none() {
        return Ok(Vec::new());
    }
    let auth = own.external_auth.as_deref();
    let auth = auth.or(host.external_auth.as_deref());
    let pages = if own.error_pages.is_empty() {
        &host.error_pages
    } else {
        &own.error_pages
    };
    let mut records = Vec::new();
    // The first that names a code counts.
    if let Some(to) = auth::sign_in(scene, auth, preamble)? {
        records.push(ErrorPageRecord {
            codes: vec![Item(Word::number(401))],
            status: Some(Word::fixed("=302")),
            to,
        });
    }
    for page in pages {
        records.push(record(scene, page, local, preamble)?);
    }
    Ok(records)
}

fn record<'a>(
    scene: &Scene<'a>,
    page: &'a ErrorPage,
    local: Local<'a, '_>,
    preamble: &mut Preamble<'a>,
) -> Result<ErrorPageRecord<'a>, RenderError> {
    let (status, to) = match &page.send {
        ErrorAnswer::Respond(respond) => {
            let status = respond.status.get().to_string();
            let content_type = respond.content_type.as_ref().map_or("", |it| it.as_str());
            let (body, told) = (respond.body.as_str(), local.id());
            let id = preamble.id(["error", &status, body, content_type, &told]);
            let mut internal = InternalRecord::named("error", &id);
            let name = internal.name.clone();
            let answer = location::respond(respond);
            internal.respond = Some(answer.map_err(|error| scene.unrenderable(error))?);
            internal.own_headers = local.own_headers(scene, preamble)?;
            preamble.internal(internal);
            (Some("="), name)
        }
        ErrorAnswer::File(path) => {
            let id = preamble.id(["file", path.as_str(), &local.id()]);
            let mut internal = InternalRecord::file("error", &id, path);
            let name = internal.name.clone();
            let file = quote_expanding(path.as_str());
            internal.file = Some(file.map_err(|error| scene.unrenderable(error))?);
            internal.auth_request = scene.has_module("http_auth_request_module");
            internal.own_headers = local.own_headers(scene, preamble)?;
            preamble.internal(internal);
            (None, name)
        }
        ErrorAnswer::Redirect(to) => (Some("=302"), auth::led(scene, to, false, preamble)?),
        ErrorAnswer::Upstream(page) => {
            let asked = Asked {
                upstream: &page.upstream,
                scheme: page.scheme,
                tls: page.tls.as_deref(),
            };
            let cleared = super::private_headers(local.own, local.host);
            let mut pass = PassRecord::to(scene, &asked, page.path.as_str(), &cleared)?;
            pass.hides_cors = local.own.cors.is_some() || local.host.cors.is_some();
            let id = preamble.id([&*pass.id("error", preamble), &local.id()]);
            let mut internal = InternalRecord::path("error", &id);
            let name = internal.name.clone();
            internal.page = Some(pass);
            internal.own_headers = local.own_headers(scene, preamble)?;
            preamble.internal(internal);
            (None, name)
        }
    };
    let codes = page
        .codes
        .iter()
        .map(|code| Word::number(code.get().into()));
    Ok(ErrorPageRecord {
        codes: super::items(codes),
        status: status.map(Word::fixed),
        to,
    })
}

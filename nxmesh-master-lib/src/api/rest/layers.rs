//! What happens to every request, whatever its route.

use std::{any::Any, net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY,
        STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use tracing::{debug, info};
use uuid::Uuid;

use super::{Access, Problem, RestState, problem, routes};
use crate::auth::Identity;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Lets nobody pass whose token does not say who they are, except to what the
/// table of routes declares public. A path that is not in the table is denied
/// like any other, so strangers do not learn which ones there are.
pub(super) async fn authenticate(
    State(state): State<Arc<RestState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let access = request
        .extensions()
        .get::<MatchedPath>()
        .map_or(Access::LoggedIn, |path| routes::access(path.as_str()));
    if access == Access::Public {
        return next.run(request).await;
    }
    let Some(token) = bearer(&request) else {
        let detail = "send an access token from POST /api/v1/auth/login as Authorization: Bearer";
        return Problem::unauthenticated(detail).into_response();
    };
    match state.tokens.verify(token) {
        Ok(identity) => {
            request.extensions_mut().insert(identity.clone());
            let mut response = next.run(request).await;
            // For the access log.
            response.extensions_mut().insert(identity);
            response
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Gives the request an id, writes the body of errors, sets security headers,
/// counts and logs. The query and the body are never logged.
pub(super) async fn observe(
    State(state): State<Arc<RestState>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let request_id = Uuid::now_v7().to_string();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let peer = request.extensions().get::<SocketAddr>().copied();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", |path| routes::known(path.as_str()));
    let response = next.run(request).await;
    let mut response = problem::render(response, &request_id);
    secure(&mut response, state.tls);
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status().as_u16();
    let took = begun.elapsed();
    state.metrics.request(method.as_str(), route, status, took);
    let user = response.extensions_mut().remove::<Identity>();
    let user = user.as_ref().map_or("-", |identity| identity.user.as_str());
    let peer = peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if routes::is_probe(route) {
        debug!(%method, path, status, took_ms, request_id, user, peer, "request");
    } else {
        info!(%method, path, status, took_ms, request_id, user, peer, "request");
    }
    response
}

fn secure(response: &mut Response, tls: bool) {
    let headers = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if tls {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
}

/// Answers for a handler that panicked. The panic hook has logged it.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the master failed at this request; its log says where",
    )
    .into_response()
}

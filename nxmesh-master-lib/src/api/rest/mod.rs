//! The REST interface: `/api/v1`, health and metrics.
//!
//! Handlers translate; decisions are made in the engine and the fleet. Every
//! error is an RFC 9457 problem, every route but those the table calls public
//! needs an access token.

mod extract;
mod layers;
mod probes;
mod problem;
mod routes;
mod state;
mod v1;

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, middleware};
use http::StatusCode;
use nxmesh_core::document::MAX_TEXT_BYTES;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

pub(crate) use problem::Problem;
pub use routes::{Access, ROUTES, Route};
pub(crate) use state::{READING_AT_ONCE, RestState};

/// Longer than the longest poll.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Puts the routes and their layers together.
pub(crate) fn router(state: Arc<RestState>) -> Router {
    let mut router = Router::new();
    for route in &ROUTES {
        router = router.route(route.path, route.handlers());
    }
    layered(router, state)
}

fn layered(router: Router<Arc<RestState>>, state: Arc<RestState>) -> Router {
    router
        .fallback(async || Problem::not_found("this path"))
        .layer(DefaultBodyLimit::max(MAX_TEXT_BYTES))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            layers::authenticate,
        ))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST_TIMEOUT,
        ))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            layers::observe,
        ))
        .with_state(state)
}

#[cfg(test)]
mod tests;

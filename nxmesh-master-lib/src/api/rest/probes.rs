//! Health, version, metrics and the public key: open to everyone.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::CONTENT_TYPE};
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Problem, RestState, extract::Parameters};

/// How long the storage may take to answer a probe.
const STORAGE_PATIENCE: Duration = Duration::from_secs(2);

/// The process answers.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verbosity {
    verbose: Option<String>,
}

/// The master can do its work: it is not stopping and its storage answers,
/// which it does only with the schema it expects. The port for agents was
/// bound before this one was served.
pub(super) async fn readyz(
    State(state): State<Arc<RestState>>,
    Parameters(query): Parameters<Verbosity>,
) -> Response {
    let storage = match timeout(STORAGE_PATIENCE, head(&state)).await {
        Ok(true) => "ok",
        Ok(false) => "does not answer",
        Err(_) => "too slow",
    };
    let running = if state.stopping.is_cancelled() {
        "stopping"
    } else {
        "ok"
    };
    let ready = storage == "ok" && running == "ok";
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if query.verbose.is_some_and(|value| value != "false") {
        let text = format!("storage: {storage}\nagent port: ok\nprocess: {running}\n");
        return if ready {
            (status, text).into_response()
        } else {
            Problem::new(status, text.trim_end().replace('\n', ", ")).into_response()
        };
    }
    if ready {
        (status, "ok\n").into_response()
    } else {
        Problem::new(status, "not ready; ask with ?verbose for more").into_response()
    }
}

async fn head(state: &RestState) -> bool {
    match state.storage.read().await {
        Ok(mut unit) => unit.revisions().head().await.is_ok(),
        Err(_) => false,
    }
}

/// Which program this is.
pub(super) async fn version() -> Json<Value> {
    Json(json!({ "name": "nxmesh-master", "version": env!("CARGO_PKG_VERSION") }))
}

/// Prometheus text format.
pub(super) async fn metrics(State(state): State<Arc<RestState>>) -> Result<Response, Problem> {
    let text = state
        .metrics
        .text(&state.fleet)
        .map_err(|error| Problem::internal(&error))?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

/// The key that verifies access tokens (RFC 7517).
pub(super) async fn jwks(State(state): State<Arc<RestState>>) -> Json<JwkSet> {
    Json(state.tokens.public().clone())
}

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use http::header::ETAG;

use super::{key, precondition::etag};
use crate::api::rest::{Problem, RestState, extract::PathValues};

/// The document, without secrets. Its ETag is the revision that last changed it.
pub(in super::super::super) async fn get(
    State(state): State<Arc<RestState>>,
    path: PathValues,
) -> Result<impl IntoResponse, Problem> {
    let (workspace, key) = key(&path)?;
    let stored = state.engine.resource(&workspace, &key).await?;
    Ok((
        [(ETAG, etag(stored.revision))],
        Json(stored.resource.redacted()),
    ))
}

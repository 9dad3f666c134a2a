use std::sync::Arc;

use axum::{Json, extract::State};
use http::{HeaderMap, StatusCode};
use nxmesh_core::api::WriteResponse;

use super::{
    super::{WriteQuery, write_response},
    key,
    precondition::Precondition,
};
use crate::{
    api::rest::{
        Problem, RestState,
        extract::{Parameters, PathValues},
    },
    auth::Identity,
    engine::{DesiredChange, EngineError, WriteRequest},
};

/// Removes a resource in the state that `If-Match` names.
pub(in super::super::super) async fn delete(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(mut query): Parameters<WriteQuery>,
    headers: HeaderMap,
) -> Result<Json<WriteResponse>, Problem> {
    let (workspace, key) = key(&path)?;
    let precondition = Precondition::read(&headers)?;
    let current = state.engine.resource(&workspace, &key).await?;
    let expected = match &precondition {
        Precondition::Present | Precondition::OneOf(_) => {
            precondition
                .expected(&state.engine, &workspace, &key)
                .await?
        }
        Precondition::None => {
            return Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                format!("send the ETag of {key} as If-Match to delete it"),
            ));
        }
        Precondition::Absent => {
            return Err(precondition.failed(&key, &format!("revision {}", current.revision)));
        }
    };
    let written = state
        .engine
        .write(WriteRequest {
            workspace,
            author: identity.user.to_string(),
            message: query.message()?,
            changes: vec![DesiredChange::delete(key.clone()).expecting(expected)],
            dry_run: query.dry_run,
        })
        .await
        .map_err(|error| match error {
            EngineError::Conflict { found, .. } => precondition.failed(&key, &found),
            error => error.into(),
        })?;
    Ok(Json(write_response(written, query.dry_run)))
}

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode,
    header::{ETAG, LOCATION},
};
use nxmesh_core::api::ChangeKind;

use super::{
    super::{WriteQuery, documents, write_response},
    key,
    precondition::{Precondition, etag},
};
use crate::{
    api::rest::{
        Problem, RestState,
        extract::{DocumentText, Parameters, PathValues},
    },
    auth::Identity,
    engine::{DesiredChange, EngineError, WriteRequest},
};

/// Creates a resource, or changes the state of it that `If-Match` names.
pub(in super::super::super) async fn put(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(query): Parameters<WriteQuery>,
    headers: HeaderMap,
    DocumentText(text): DocumentText,
) -> Result<Response, Problem> {
    let (workspace, key) = key(&path)?;
    let precondition = Precondition::read(&headers)?;
    let resource = documents::read_one(&text, &workspace, &key)?;
    let expected = precondition
        .expected(&state.engine, &workspace, &key)
        .await?;
    let written = state
        .engine
        .write(WriteRequest {
            workspace: workspace.clone(),
            author: identity.user.to_string(),
            message: query.message,
            changes: vec![DesiredChange::put(resource).expecting(expected)],
            dry_run: query.dry_run,
        })
        .await
        .map_err(|error| match error {
            EngineError::Conflict { found, .. } => precondition.failed(&key, &found),
            error => error.into(),
        })?;
    let created = written
        .changes
        .iter()
        .any(|change| change.change == ChangeKind::Created);
    let version = written.version;
    let mut response = Json(write_response(written, query.dry_run)).into_response();
    let Some(version) = version else {
        return Ok(response);
    };
    if let Ok(tag) = etag(version.revision).parse() {
        response.headers_mut().insert(ETAG, tag);
    }
    if created {
        *response.status_mut() = StatusCode::CREATED;
        let kind = key.kind.plural();
        let location = format!("/api/v1/workspaces/{workspace}/{kind}/{}", key.name);
        if let Ok(location) = location.parse() {
            response.headers_mut().insert(LOCATION, location);
        }
    }
    Ok(response)
}

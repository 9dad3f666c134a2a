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
use nxmesh_core::{api::ChangeKind, contract::storage::Expected};

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
    Parameters(mut query): Parameters<WriteQuery>,
    headers: HeaderMap,
    DocumentText(text): DocumentText,
) -> Result<Response, Problem> {
    let (workspace, key) = key(&path)?;
    let precondition = Precondition::read(&headers)?;
    let resource = documents::read_one(&state.reading, text, workspace.clone(), &key).await?;
    let expected = precondition
        .expected(&state.engine, &workspace, &key)
        .await?;
    let written = state
        .engine
        .write(WriteRequest {
            workspace: workspace.clone(),
            author: identity.user.to_string(),
            message: query.message()?,
            changes: vec![DesiredChange::put(resource).expecting(expected)],
            dry_run: query.dry_run,
        })
        .await
        .map_err(|error| match error {
            EngineError::Conflict { found, .. } => precondition.failed(&key, &found),
            error => error.into(),
        })?;
    let change = written.changes.first().map(|change| change.change);
    let revision = match (written.version, change, expected) {
        (Some(version), ..) => Some(version.revision),
        (None, Some(ChangeKind::Unchanged), Expected::Revision(current)) => Some(current),
        _ => None,
    };
    let is_created = written.version.is_some() && change == Some(ChangeKind::Created);
    let mut response = Json(write_response(written, query.dry_run)).into_response();
    if let Some(Ok(tag)) = revision.map(|revision| etag(revision).parse()) {
        response.headers_mut().insert(ETAG, tag);
    }
    if is_created {
        *response.status_mut() = StatusCode::CREATED;
        let kind = key.kind.plural();
        let location = format!("/api/v1/workspaces/{workspace}/{kind}/{}", key.name);
        if let Ok(location) = location.parse() {
            response.headers_mut().insert(LOCATION, location);
        }
    }
    Ok(response)
}

//! `POST /api/v1/workspaces/{workspace}/apply`: a whole set, one revision.

use std::sync::Arc;

use axum::{Json, extract::State};
use nxmesh_core::{api::WriteResponse, model::value::WorkspaceName};

use super::{
    super::{
        Problem, RestState,
        extract::{DocumentText, Parameters, PathValues},
    },
    WriteQuery, documents, write_response,
};
use crate::{auth::Identity, engine::WriteRequest};

/// Makes every document of the body so, or none.
pub(in super::super) async fn apply(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(mut query): Parameters<WriteQuery>,
    DocumentText(text): DocumentText,
) -> Result<Json<WriteResponse>, Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    let changes = documents::read_set(&state.reading, text, &workspace).await?;
    let written = state
        .engine
        .write(WriteRequest {
            workspace,
            author: identity.user.to_string(),
            message: query.message()?,
            changes,
            dry_run: query.dry_run,
        })
        .await?;
    Ok(Json(write_response(written, query.dry_run)))
}

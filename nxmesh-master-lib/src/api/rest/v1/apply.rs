//! `POST /api/v1/workspaces/{workspace}/apply`: a whole set, one revision.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Json, extract::State};
use nxmesh_core::{api::WriteResponse, document, model::value::WorkspaceName};

use super::{
    super::{
        Problem, RestState,
        extract::{DocumentText, Parameters, PathValues},
    },
    WriteQuery, documents, write_response,
};
use crate::{
    auth::Identity,
    engine::{DesiredChange, WriteRequest},
};

/// Makes every document of the body so, or none.
pub(in super::super) async fn apply(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(mut query): Parameters<WriteQuery>,
    DocumentText(text): DocumentText,
) -> Result<Json<WriteResponse>, Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    let resources = documents::read(&state.reading, text, workspace.clone()).await?;
    let mut keys = BTreeSet::new();
    let doubled: Vec<_> = resources
        .iter()
        .map(nxmesh_core::model::Resource::key)
        .filter(|key| !keys.insert(key.clone()))
        .map(|key| {
            document::Problem::new(
                key,
                "/metadata/name",
                "a resource is written once per apply",
            )
        })
        .collect();
    if !doubled.is_empty() {
        return Err(Problem::invalid(doubled));
    }
    if resources.is_empty() {
        let rule = "the body holds at least one document, for example kind: Upstream …";
        return Err(Problem::invalid(vec![document::Problem::new(
            "body", "", rule,
        )]));
    }
    let written = state
        .engine
        .write(WriteRequest {
            workspace,
            author: identity.user.to_string(),
            message: query.message()?,
            changes: resources.into_iter().map(DesiredChange::put).collect(),
            dry_run: query.dry_run,
        })
        .await?;
    Ok(Json(write_response(written, query.dry_run)))
}

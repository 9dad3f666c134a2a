//! `/api/v1/workspaces/{workspace}/revisions`: the history, and undoing.

use std::sync::Arc;

use axum::{Json, extract::State};
use nxmesh_core::{
    api::{Change, ChangeKind, Page, RevisionView, WriteResponse},
    contract::storage::{ListRevisions, ResourceChange, Revision},
    model::value::WorkspaceName,
};
use serde::Deserialize;

use super::{
    super::{
        Problem, RestState,
        extract::{Parameters, PathValues},
    },
    WriteQuery,
    page::{bad_cursor, limit},
    write_response,
};
use crate::auth::Identity;

/// Which revisions to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct RevisionsQuery {
    /// Those above this number.
    after: Option<u64>,
    /// The same, as the `next` of a page.
    cursor: Option<String>,
    limit: Option<usize>,
}

/// Revisions oldest first, without the documents.
pub(in super::super) async fn list(
    State(state): State<Arc<RestState>>,
    path: PathValues,
    Parameters(query): Parameters<RevisionsQuery>,
) -> Result<Json<Page<RevisionView>>, Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    let limit = limit(query.limit)?;
    let cursor = query
        .cursor
        .map(|cursor| cursor.parse().map_err(|_| bad_cursor()))
        .transpose()?;
    let mut revisions = state
        .engine
        .revisions(&ListRevisions {
            workspace: Some(workspace),
            after: cursor.or(query.after).unwrap_or(0),
            // One more tells whether there is a next page. The limit is 1000 at most.
            limit: u32::try_from(limit + 1).unwrap_or(u32::MAX),
        })
        .await?;
    let is_more = revisions.len() > limit;
    revisions.truncate(limit);
    let next = revisions
        .last()
        .filter(|_| is_more)
        .map(|revision| revision.version.revision.to_string());
    let items = revisions
        .into_iter()
        .map(|revision| view(revision, Detail::Keys))
        .collect();
    Ok(Json(Page { items, next }))
}

/// One revision with its documents before and after, without secrets.
pub(in super::super) async fn get(
    State(state): State<Arc<RestState>>,
    path: PathValues,
) -> Result<Json<RevisionView>, Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    let revision = state.engine.revision(&workspace, path.revision()?).await?;
    Ok(Json(view(revision, Detail::Documents)))
}

/// Makes a new revision with the content from before this one.
pub(in super::super) async fn undo(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(mut query): Parameters<WriteQuery>,
) -> Result<Json<WriteResponse>, Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    let written = state
        .engine
        .undo(
            workspace,
            path.revision()?,
            identity.user.to_string(),
            query.message()?,
            query.dry_run,
        )
        .await?;
    Ok(Json(write_response(written, query.dry_run)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Keys,
    Documents,
}

fn view(revision: Revision, detail: Detail) -> RevisionView {
    RevisionView {
        version: revision.version,
        workspace: revision.workspace,
        author: revision.author,
        message: revision.message,
        at: revision.at,
        changes: revision
            .changes
            .into_iter()
            .map(|change| change_view(change, detail))
            .collect(),
    }
}

fn change_view(change: ResourceChange, detail: Detail) -> Change {
    let kind = match (&change.before, &change.after) {
        (None, Some(_)) => ChangeKind::Created,
        (Some(_), None) => ChangeKind::Deleted,
        (Some(before), Some(after)) if before == after => ChangeKind::Unchanged,
        _ => ChangeKind::Updated,
    };
    let shown = |resource: Option<Arc<nxmesh_core::model::Resource>>| {
        resource
            .filter(|_| detail == Detail::Documents)
            .map(|resource| resource.redacted())
    };
    Change {
        resource: change.key,
        change: kind,
        before: shown(change.before),
        after: shown(change.after),
    }
}

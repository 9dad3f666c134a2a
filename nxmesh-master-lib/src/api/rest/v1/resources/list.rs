use std::sync::Arc;

use axum::{Json, extract::State};
use nxmesh_core::{
    api::Page,
    contract::storage::ListResources,
    model::value::{ResourceName, WorkspaceName},
};
use serde_json::Value;

use super::super::page::{ListQuery, bad_cursor, encode};
use crate::api::rest::{
    Problem, RestState,
    extract::{Parameters, PathValues},
};

/// How many are read from the storage at a time when most may not be wanted.
const CHUNK: usize = 1000;

/// The documents of one kind by name, without secrets, those whose own labels
/// `selector` chooses.
pub(in super::super::super) async fn list(
    State(state): State<Arc<RestState>>,
    path: PathValues,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<Page<Value>>, Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    let kind = path.kind()?;
    let limit = query.limit()?;
    let selector = query.selector()?;
    let after = query.after()?;
    let mut after: Option<ResourceName> = after
        .map(|name| name.parse().map_err(|_| bad_cursor()))
        .transpose()?;
    // Without a selector one more than the page tells whether another follows.
    let chunk_size = if selector.requirements().is_empty() {
        limit + 1
    } else {
        CHUNK
    };
    let mut items = Vec::new();
    let mut last = None;
    loop {
        let chunk = state
            .engine
            .resources(&ListResources {
                workspace: workspace.clone(),
                kind: Some(kind),
                after: after.take(),
                limit: Some(u32::try_from(chunk_size).unwrap_or(u32::MAX)),
            })
            .await?;
        let is_end = chunk.len() < chunk_size;
        for stored in &chunk {
            let metadata = stored.resource.metadata();
            if !selector.matches(&metadata.labels) {
                continue;
            }
            if items.len() == limit {
                // There is more than fits, so the page names its last item.
                return Ok(Json(Page { items, next: last }));
            }
            last = Some(encode(metadata.name.as_str()));
            items.push(stored.resource.redacted());
        }
        after = chunk
            .last()
            .map(|stored| stored.resource.metadata().name.clone());
        if is_end {
            return Ok(Json(Page { items, next: None }));
        }
    }
}

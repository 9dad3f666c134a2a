//! `/api/v1/workspaces/{workspace}/agents`

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use nxmesh_core::{
    api::{AgentView, Page},
    model::{AgentId, value::WorkspaceName},
};
use serde::Deserialize;
use tracing::info;

use super::{
    super::{
        Problem, RestState,
        extract::{Parameters, PathValues},
    },
    page::{ListQuery, bad_cursor, encode},
};
use crate::auth::Identity;

/// The agents whose labels `selector` chooses, by hostname and id.
pub(in super::super) async fn list(
    State(state): State<Arc<RestState>>,
    path: PathValues,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<Page<AgentView>>, Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    let limit = query.limit()?;
    let selector = query.selector()?;
    let after = query.after()?;
    let after = after
        .as_deref()
        .map(|position| position.rsplit_once('\n').ok_or_else(bad_cursor))
        .transpose()?;
    let mut agents = state.fleet.agents(&workspace).await;
    agents.retain(|agent| {
        let position = (agent.hostname.as_str(), agent.id.as_str());
        after.is_none_or(|after| position > after) && selector.matches(&agent.labels)
    });
    let is_more = agents.len() > limit;
    agents.truncate(limit);
    let next = agents
        .last()
        .filter(|_| is_more)
        .map(|last| encode(&format!("{}\n{}", last.hostname, last.id)));
    Ok(Json(Page {
        items: agents,
        next,
    }))
}

/// One agent with its four facts.
pub(in super::super) async fn get(
    State(state): State<Arc<RestState>>,
    path: PathValues,
) -> Result<Json<AgentView>, Problem> {
    let (workspace, id) = names(&path)?;
    let agent = state.fleet.agent(&workspace, &id).await;
    agent.map(Json).ok_or_else(|| missing(&workspace, &id))
}

/// The query of a removal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct RemoveQuery {
    /// Only say whether it is there.
    #[serde(default)]
    dry_run: bool,
}

/// Forgets an agent: it has to enrol again. Its nginx goes on serving.
pub(in super::super) async fn remove(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(query): Parameters<RemoveQuery>,
) -> Result<StatusCode, Problem> {
    let (workspace, id) = names(&path)?;
    identity.require("agent:delete")?;
    let found = if query.dry_run {
        state.fleet.agent(&workspace, &id).await.is_some()
    } else {
        let removed = state
            .fleet
            .remove(&workspace, &id, identity.user.as_str())
            .await?;
        if removed {
            info!(user = %identity.user, agent = %id, %workspace, "agent removed");
        }
        removed
    };
    if found {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(missing(&workspace, &id))
    }
}

/// Lets an agent in again whose identity two machines had.
pub(in super::super) async fn unquarantine(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
) -> Result<StatusCode, Problem> {
    let (workspace, id) = names(&path)?;
    identity.require("agent:unquarantine")?;
    let by = identity.user.as_str();
    if state.fleet.unquarantine(&workspace, &id, by).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found(format!(
        "a quarantine of agent {id} in workspace {workspace}"
    )))
}

fn names(path: &PathValues) -> Result<(WorkspaceName, AgentId), Problem> {
    Ok((path.get("workspace")?, path.get("agent")?))
}

fn missing(workspace: &WorkspaceName, id: &AgentId) -> Problem {
    Problem::not_found(format!("agent {id} in workspace {workspace}"))
}

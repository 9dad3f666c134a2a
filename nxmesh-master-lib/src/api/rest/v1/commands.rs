//! `/api/v1/workspaces/{workspace}/agents/{agent}/commands`

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use nxmesh_core::{
    api::{CommandRequest, CommandState, CommandView},
    document,
    model::{
        AgentId,
        value::{ValueError, WorkspaceName},
    },
};
use serde::Deserialize;
use tokio::time::Instant;

use super::super::{
    Problem, RestState,
    extract::{JsonBody, Parameters, PathValues},
};
use crate::{auth::Identity, coordination::CommandError};

const LONGEST_WAIT_S: u64 = 30;
/// Seconds an agent may be given.
const TIMEOUT_S: std::ops::RangeInclusive<u64> = 1..=600;

/// How long to wait for the result.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct WaitQuery {
    /// Seconds.
    #[serde(default)]
    wait: u64,
}

impl WaitQuery {
    fn until(&self) -> Result<Instant, Problem> {
        if self.wait > LONGEST_WAIT_S {
            let rule = ValueError {
                rule: "a wait is 0 to 30 seconds; ask again after it",
                example: "30",
            };
            return Err(Problem::bad_value("query", "wait", rule));
        }
        Ok(Instant::now() + Duration::from_secs(self.wait))
    }
}

/// Gives an agent a command. 202 and where to look as long as there is no result.
pub(in super::super) async fn create(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(query): Parameters<WaitQuery>,
    JsonBody(request): JsonBody<CommandRequest>,
) -> Result<impl IntoResponse, Problem> {
    let (workspace, agent) = names(&path)?;
    identity.require(request.kind.permission())?;
    let until = query.until()?;
    if !TIMEOUT_S.contains(&request.timeout_seconds) {
        let rule = "an agent gets 1 to 600 seconds, for example 60";
        let problem = document::Problem::new("body", "/timeout_seconds", rule);
        return Err(Problem::invalid(vec![problem]));
    }
    let timeout = Duration::from_secs(request.timeout_seconds);
    let by = identity.user.to_string();
    let given = state
        .fleet
        .command(&workspace, &agent, request.kind, timeout, &by)
        .await?;
    let place = format!(
        "/api/v1/workspaces/{workspace}/agents/{agent}/commands/{}",
        given.id
    );
    let view = waited(&state, &workspace, &agent, &given.id, until).await;
    let view = view.unwrap_or(given);
    let status = match view.state {
        CommandState::Waiting => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    Ok((status, [(LOCATION, place)], Json(view)))
}

/// A command and what came of it; with `wait` once there is a result.
pub(in super::super) async fn get(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(query): Parameters<WaitQuery>,
) -> Result<Json<CommandView>, Problem> {
    let (workspace, agent) = names(&path)?;
    identity.require("agent:read")?;
    let until = query.until()?;
    let id = path.text("command");
    let view = waited(&state, &workspace, &agent, id, until).await;
    view.map(Json).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "this master does not remember such a command of this agent; the audit log has them all",
        )
    })
}

async fn waited(
    state: &RestState,
    workspace: &WorkspaceName,
    agent: &AgentId,
    id: &str,
    until: Instant,
) -> Option<CommandView> {
    tokio::select! {
        view = state.fleet.wait_command(workspace, agent, id, until) => view,
        // Nobody is kept waiting by a master that stops.
        () = state.stopping.cancelled() => state.fleet.command_view(workspace, agent, id),
    }
}

fn names(path: &PathValues) -> Result<(WorkspaceName, AgentId), Problem> {
    Ok((path.get("workspace")?, path.get("agent")?))
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Unknown { agent, workspace } => {
                Self::not_found(format!("agent {agent} in workspace {workspace}"))
            }
            CommandError::Away { .. } | CommandError::TooOld { .. } => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            CommandError::Busy { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
            }
            CommandError::Storage(error) => error.into(),
        }
    }
}

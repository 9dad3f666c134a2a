//! `GET /api/v1/workspaces/{workspace}/rollouts/{revision}`

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use nxmesh_core::{
    api::RolloutView,
    model::value::{ValueError, WorkspaceName},
};
use serde::Deserialize;
use tokio::time::Instant;

use super::super::{
    Problem, RestState,
    extract::{Parameters, PathValues},
};

const LONGEST_WAIT_S: u64 = 30;

/// How to wait.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct WaitQuery {
    /// Seconds to wait for something new.
    #[serde(default)]
    wait: u64,
    /// The tag of the answer the caller has.
    seen: Option<String>,
}

/// How far each agent is with a revision. With `wait` the answer comes once it
/// differs from the one `seen`, it is done, or the time is over.
pub(in super::super) async fn get(
    State(state): State<Arc<RestState>>,
    path: PathValues,
    Parameters(query): Parameters<WaitQuery>,
) -> Result<Json<RolloutView>, Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    let revision = path.revision()?;
    if query.wait > LONGEST_WAIT_S {
        let rule = ValueError {
            rule: "a wait is 0 to 30 seconds; ask again after it",
            example: "30",
        };
        return Err(Problem::bad_value("query", "wait", rule));
    }
    let view = if query.wait == 0 {
        state.fleet.rollout(&workspace, revision).await?
    } else {
        let until = Instant::now() + Duration::from_secs(query.wait);
        let seen = query.seen.as_deref();
        let waited = state.fleet.wait_rollout(&workspace, revision, seen, until);
        tokio::select! {
            view = waited => view?,
            // Nobody is kept waiting by a master that stops.
            () = state.stopping.cancelled() => state.fleet.rollout(&workspace, revision).await?,
        }
    };
    view.map(Json)
        .ok_or_else(|| Problem::not_found(format!("revision {revision} in workspace {workspace}")))
}

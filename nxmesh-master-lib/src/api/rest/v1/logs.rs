//! `GET /api/v1/workspaces/{workspace}/agents/{agent}/logs`

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State,
    response::Response,
};
use futures_util::stream;
use http::{HeaderValue, header::CONTENT_TYPE};
use nxmesh_core::model::{
    AgentId,
    value::{ValueError, WorkspaceName},
};
use serde::Deserialize;

use super::super::{
    Problem, RestState,
    extract::{Parameters, PathValues},
};
use crate::auth::Identity;

const MOST_LINES: u32 = 1000;

/// How much.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct LogsQuery {
    /// Lines of what is there already.
    #[serde(default = "hundred")]
    lines: u32,
    /// Whether to go on with what is added.
    #[serde(default)]
    follow: bool,
}

const fn hundred() -> u32 {
    100
}

/// The error log of an agent's nginx: one [`LogEvent`](nxmesh_core::api::LogEvent)
/// in a line of JSON after the other.
pub(in super::super) async fn get(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(query): Parameters<LogsQuery>,
) -> Result<Response, Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    let agent: AgentId = path.get("agent")?;
    identity.require("agent:logs")?;
    if query.lines > MOST_LINES {
        let rule = ValueError {
            rule: "lines are 0 to 1000",
            example: "100",
        };
        return Err(Problem::bad_value("query", "lines", rule));
    }
    let by = identity.user.as_str();
    let log = state
        .fleet
        .logs(&workspace, &agent, query.lines, query.follow, by)
        .await?;
    let stopping = state.stopping.clone();
    let lines = stream::unfold((log, stopping), async |(mut log, stopping)| {
        let event = tokio::select! {
            event = log.next() => event?,
            // Nobody is kept waiting by a master that stops.
            () = stopping.cancelled() => return None,
        };
        // It holds only texts and a number.
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), (log, stopping)))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

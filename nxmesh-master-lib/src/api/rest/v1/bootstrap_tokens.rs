//! `POST /api/v1/workspaces/{workspace}/agents/bootstrap-tokens`

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use http::StatusCode;
use nxmesh_core::{
    api::{BootstrapTokenRequest, BootstrapTokenResponse},
    document,
    model::value::WorkspaceName,
};
use secrecy::ExposeSecret as _;
use tracing::info;

use super::super::{
    Problem, RestState,
    extract::{JsonBody, Parameters, PathValues},
};
use crate::auth::Identity;

/// Seconds a token may be good for: a minute to thirty days.
const TTL_S: std::ops::RangeInclusive<u64> = 60..=2_592_000;

/// Takes no parameters; one that is given is an error, not ignored.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct NoQuery {}

/// Makes a token that admits one agent. This answer is the only place it is shown.
pub(in super::super) async fn create(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(NoQuery {}): Parameters<NoQuery>,
    JsonBody(request): JsonBody<BootstrapTokenRequest>,
) -> Result<(StatusCode, Json<BootstrapTokenResponse>), Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    if !TTL_S.contains(&request.ttl_seconds) {
        let rule = "a token is good for 60 to 2592000 seconds, for example 3600";
        let problem = document::Problem::new("body", "/ttl_seconds", rule);
        return Err(Problem::invalid(vec![problem]));
    }
    let ttl = Duration::from_secs(request.ttl_seconds);
    let (token, stored) = state
        .fleet
        .create_bootstrap_token(workspace.clone(), request.labels, ttl)
        .await?;
    info!(user = %identity.user, %workspace, token = stored.digest.short(), "bootstrap token made");
    let response = BootstrapTokenResponse {
        token: token.expose_secret().to_owned(),
        expires_at: stored.expires_at,
        master_url: state.agent_url.clone(),
        ca_pem: state.ca_pem.clone(),
    };
    Ok((StatusCode::CREATED, Json(response)))
}

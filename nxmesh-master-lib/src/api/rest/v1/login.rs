//! `POST /api/v1/auth/login`

use std::sync::Arc;

use axum::{Json, extract::State};
use nxmesh_core::api::{LoginRequest, LoginResponse};

use super::super::{
    Problem, RestState,
    extract::{JsonBody, Peer},
};

/// Exchanges a password for an access token.
pub(in super::super) async fn login(
    State(state): State<Arc<RestState>>,
    Peer(from): Peer,
    JsonBody(request): JsonBody<LoginRequest>,
) -> Result<Json<LoginResponse>, Problem> {
    let password = request.password.into();
    let outcome = state.logins.log_in(&request.username, password, from).await;
    state.metrics.login(outcome.as_ref().map(|_| ()));
    let issued = outcome?;
    Ok(Json(LoginResponse {
        access_token: issued.token,
        token_type: "Bearer".to_owned(),
        expires_in: issued.expires_in.as_secs(),
    }))
}

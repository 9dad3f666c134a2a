//! What the outside speaks to: agents over gRPC or WebSocket, people and tools over REST.

pub mod grpc;
pub mod rest;
mod websocket;

use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::{config::Keepalive, coordination::Fleet};

/// Everything that is served on the port of agents.
pub(crate) fn agents(
    fleet: Fleet,
    master_ca: String,
    keepalive: Keepalive,
    stop: CancellationToken,
) -> Router {
    let calls = Arc::new(grpc::calls::Calls::new(fleet, master_ca, stop));
    let fallback = websocket::of(Arc::clone(&calls), keepalive);
    grpc::of(calls).into_axum_router().merge(fallback)
}

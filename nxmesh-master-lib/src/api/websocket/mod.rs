//! The agent protocol over HTTP/1.1, for where HTTP/2 does not get through.
//!
//! The paths are told in [`nxmesh_core::wire::http`]. All that is decided is
//! decided where gRPC's calls are: this only carries.

mod carry;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Extension, Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use hyper_util::rt::TokioIo;
use nxmesh_core::{
    seal::{
        request::{MASTER_TIME, SESSION_NONCE},
        stream::MAX_FRAME_BYTES,
    },
    wire::http as paths,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::server::create_response_with_body, protocol::Role},
};
use tonic::{Code, Status};
use tracing::debug;

use super::grpc::calls::Calls;
use crate::{config::Keepalive, server::StillOpen};

/// How long a request's body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How long the connection may take to become a WebSocket once it was granted.
const UPGRADE_WITHIN: Duration = Duration::from_secs(10);
/// Frames of the agent that may wait for the conversation.
const FRAMES_IN_FLIGHT: usize = 4;

#[derive(Debug, Clone)]
struct Served {
    calls: Arc<Calls>,
    keepalive: Keepalive,
}

pub(super) fn of(calls: Arc<Calls>, keepalive: Keepalive) -> Router {
    Router::new()
        .route(paths::STREAM, get(stream))
        .route(paths::REGISTER, post(register))
        .route(paths::BUNDLE, post(bundle))
        .route(paths::HEALTH, post(health))
        .route(paths::METRICS, post(metrics))
        .with_state(Served { calls, keepalive })
}

/// A status as an answer.
struct Refusal(Status);

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = match self.0.code() {
            Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut answer = (code, self.0.message().to_owned()).into_response();
        let status = HeaderValue::from(i32::from(self.0.code()));
        answer.headers_mut().insert(paths::STATUS, status);
        if let Some(time) = self.0.metadata().as_ref().get(MASTER_TIME) {
            answer.headers_mut().insert(MASTER_TIME, time.clone());
        }
        answer
    }
}

async fn register(State(served): State<Served>, request: Request) -> Result<Response, Refusal> {
    let answer = served
        .calls
        .register(&body(request.into_body()).await?)
        .await?;
    Ok(([(CONTENT_TYPE, paths::CONTENT_TYPE)], answer).into_response())
}

async fn bundle(State(served): State<Served>, request: Request) -> Result<Response, Refusal> {
    let (head, rest) = request.into_parts();
    let asked = body(rest).await?;
    let (_, content) = served.calls.bundle(&head.headers, paths::BUNDLE, &asked)?;
    Ok(content.into_response())
}

async fn health(State(served): State<Served>, request: Request) -> Result<Response, Refusal> {
    let (head, rest) = request.into_parts();
    let report = body(rest).await?;
    let ack = served
        .calls
        .report_health(&head.headers, paths::HEALTH, &report)?;
    Ok(([(CONTENT_TYPE, paths::CONTENT_TYPE)], ack).into_response())
}

async fn metrics(State(served): State<Served>, request: Request) -> Result<Response, Refusal> {
    let (head, rest) = request.into_parts();
    let batch = body(rest).await?;
    let ack = served
        .calls
        .report_metrics(&head.headers, paths::METRICS, &batch)?;
    Ok(([(CONTENT_TYPE, paths::CONTENT_TYPE)], ack).into_response())
}

async fn body(body: Body) -> Result<Bytes, Status> {
    match timeout(BODY_WITHIN, to_bytes(body, MAX_FRAME_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(Status::invalid_argument(format!(
            "the body broke off or is longer than {MAX_FRAME_BYTES} bytes: {error}"
        ))),
        Err(_) => Err(Status::deadline_exceeded("the body did not arrive in 10 s")),
    }
}

async fn stream(
    State(served): State<Served>,
    Extension(open): Extension<StillOpen>,
    mut request: Request,
) -> Result<Response, Refusal> {
    let opening = served.calls.open(request.headers(), paths::STREAM).await?;
    let upgrade = hyper::upgrade::on(&mut request);
    let mut answer =
        create_response_with_body(&request.map(drop), Body::empty).map_err(|error| {
            Status::invalid_argument(format!("a WebSocket has to be asked for: {error}"))
        })?;
    let headers = answer.headers_mut();
    headers.insert(SESSION_NONCE, opening.header());
    tokio::spawn(async move {
        // Counts as a connection of the port until the session is over.
        let _open = open;
        let upgraded = match timeout(UPGRADE_WITHIN, upgrade).await {
            Ok(Ok(upgraded)) => TokioIo::new(upgraded),
            Ok(Err(error)) => return debug!(%error, "no WebSocket came of it"),
            Err(_) => return debug!("no WebSocket came of it in time"),
        };
        let config = Some(carry::config());
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, config).await;
        let (frames, incoming) = mpsc::channel(FRAMES_IN_FLIGHT);
        let outgoing = opening.begin(Box::pin(ReceiverStream::new(incoming)));
        carry::carry(socket, frames, outgoing, served.keepalive).await;
    });
    Ok(answer)
}

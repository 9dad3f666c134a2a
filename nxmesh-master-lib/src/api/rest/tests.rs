//! What the layers make of handlers that fail.

use axum::{body::Body, routing::get};
use http::Request;
use http_body_util::BodyExt as _;
use nxmesh_core::{
    api::ProblemDetails,
    contract::{
        clock::{Clock, SystemClock},
        event_bus::EventBus,
        storage::Storage,
    },
    memory::{MemoryEventBus, MemoryStorage},
};
use nxmesh_render::HandlebarsRenderer;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::{
    auth::{AccessTokens, Identity, Logins, Passwords, Role, new_signing_key_pem},
    coordination::{Fleet, FleetOptions},
    engine::Engine,
    observability::Metrics,
};

async fn state() -> Arc<RestState> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let bus: Arc<dyn EventBus> = Arc::new(MemoryEventBus::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = FleetOptions::default();
    let fleet = Fleet::open(
        Arc::clone(&storage),
        Arc::clone(&bus),
        Arc::clone(&clock),
        options,
    )
    .await
    .unwrap();
    let key = new_signing_key_pem().unwrap();
    let tokens = Arc::new(AccessTokens::new(&key, Arc::clone(&clock)).unwrap());
    let renderer = Arc::new(HandlebarsRenderer::new());
    let engine = Engine::new(Arc::clone(&storage), bus, clock, renderer, fleet.clone());
    let passwords = Passwords::new().unwrap();
    Arc::new(RestState {
        engine,
        fleet,
        logins: Logins::new(Arc::clone(&storage), passwords, Arc::clone(&tokens)),
        storage,
        tokens,
        metrics: Metrics::new().unwrap(),
        agent_url: String::new(),
        ca_pem: String::new(),
        tls: false,
        reading: Arc::new(Semaphore::new(READING_AT_ONCE)),
        stopping: CancellationToken::new(),
    })
}

async fn panics() -> &'static str {
    panic!("the secret of this handler")
}

async fn hangs() -> &'static str {
    std::future::pending().await
}

async fn ask(path: &str) -> (u16, String) {
    let state = state().await;
    let identity = Identity {
        user: "admin".parse().unwrap(),
        role: Role::Admin,
    };
    let token = state.tokens.issue(&identity).unwrap().token;
    let router = Router::new()
        .route("/panics", get(panics))
        .route("/hangs", get(hangs));
    let request = Request::get(path)
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let answer = layered(router, state).oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let problem: ProblemDetails = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem.status, status);
    (status, problem.detail)
}

#[tokio::test]
async fn a_panic_becomes_a_problem_without_its_message() {
    let (status, detail) = ask("/panics").await;
    assert_eq!(status, 500);
    assert!(!detail.contains("secret"), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_is_ended() {
    let (status, detail) = ask("/hangs").await;
    assert_eq!(status, 408);
    assert!(detail.contains("not done in time"), "{detail}");
}

#[tokio::test]
async fn a_storage_that_does_not_answer_is_told_as_such() {
    use axum::response::IntoResponse as _;
    use nxmesh_core::contract::storage::StorageError;

    let error = StorageError::Unavailable {
        backend: "test",
        action: "begin",
        source: "postgres://user:secret@db is down".into(),
    };
    let answer = problem::render(Problem::from(error).into_response(), "id");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "2");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&body).contains("secret"));
}

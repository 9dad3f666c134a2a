//! WebSocket where HTTP/2 does not get through.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nxmesh_agent_lib::transport::{Backoff, TransportChoice};

use super::{Scene, proxy::Between, ready_by};

/// A site whose slice is too large to travel inline.
fn large_site(port: u16, answer: &str) -> String {
    let padding: String = (0..40)
        .map(|number| {
            let body = "p".repeat(3000);
            format!("    - {{ path: /{number}, respond: {{ status: 200, body: {body} }} }}\n")
        })
        .collect();
    format!(
        r#"
kind: VirtualHost
metadata: {{ name: site }}
spec:
  server_names: [site.example]
  listen: [{{ port: {port}, address: 127.0.0.1 }}]
  locations:
    - {{ path: /, respond: {{ status: 200, body: {answer}, content_type: text/plain }} }}
{padding}"#
    )
}

pub(super) async fn apply(scene: &Scene, answer: &str) {
    let site = large_site(scene.rig.port, answer);
    let applied = scene.client.apply(site).await.unwrap();
    assert!(applied.status.is_success(), "{}", applied.text());
}

#[tokio::test]
async fn an_agent_behind_http1_uses_websocket_until_http2_gets_through() {
    let scene = Scene::open().await;
    let http2 = Arc::new(AtomicBool::new(false));
    let master = scene.master.addresses().agents;
    let between = Between::middlebox(master, scene.master.folder(), Arc::clone(&http2)).await;
    let mut options = scene.options(between.port).await;
    options.connection.grpc_pauses = Backoff {
        first: Duration::from_millis(100),
        cap: Duration::from_millis(500),
    };
    let mut agent = scene.rig.start_to_master(options);

    // Enrolled, connected and served by HTTP/1.1 alone.
    agent.reached(ready_by("websocket")).await;
    apply(&scene, "one").await;
    agent.reached(|status| status.applied.is_some()).await;
    assert_eq!(scene.rig.get().await, (200, "one".to_owned()));

    http2.store(true, Ordering::Relaxed);
    let status = agent.reached(ready_by("grpc")).await;
    apply(&scene, "two").await;
    agent.reached(|now| now.applied > status.applied).await;
    assert_eq!(scene.rig.get().await, (200, "two".to_owned()));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_chosen_is_used() {
    for (choice, backend) in [
        (TransportChoice::Auto, "grpc"),
        (TransportChoice::Grpc, "grpc"),
        (TransportChoice::WebSocket, "websocket"),
    ] {
        let scene = Scene::open().await;
        let mut options = scene.options(scene.master.addresses().agents.port()).await;
        options.transport = choice;
        let mut agent = scene.rig.start_to_master(options);
        agent.reached(ready_by(backend)).await;
        agent.stop().await.unwrap();
    }
}

/// No way round what an operator has chosen.
#[tokio::test]
async fn an_agent_told_to_use_grpc_does_not_fall_back() {
    let scene = Scene::open().await;
    let master = scene.master.addresses().agents;
    let between = Between::middlebox(master, scene.master.folder(), Arc::default()).await;
    let mut options = scene.options(between.port).await;
    options.transport = TransportChoice::Grpc;
    let mut agent = scene.rig.start_to_master(options);
    let status = agent.reached(|it| it.connection.failures >= 3).await;
    let error = status.connection.last_error.unwrap();
    assert!(error.contains("does not speak HTTP/2"), "{error}");
    assert_eq!(status.agent_id, None);
    agent.stop().await.unwrap();
}

/// A master that is away is no reason to speak differently.
#[tokio::test]
async fn a_master_that_comes_back_is_reached_by_grpc() {
    let scene = Scene::open().await;
    let master = scene.master.addresses().agents;
    let frozen = tokio_util::sync::CancellationToken::new();
    let between = Between::relay(master, frozen).await;
    let mut options = scene.options(between.port).await;
    options.connection.grpc_pauses.first = Duration::from_secs(600);
    options.connection.grpc_pauses.cap = Duration::from_secs(600);
    let mut agent = scene.rig.start_to_master(options);
    agent.reached(ready_by("grpc")).await;
    let port = between.port;
    drop(between);
    agent.reached(|it| it.connection.failures >= 3).await;
    let between = Between::relay_at(port, master).await;
    agent.reached(ready_by("grpc")).await;
    agent.stop().await.unwrap();
    drop(between);
}

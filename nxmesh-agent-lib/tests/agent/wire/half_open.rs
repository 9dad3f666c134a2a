//! Connections that stand and carry nothing.

use std::time::Duration;

use nxmesh_agent_lib::{
    ConnectionState,
    transport::{Keepalive, TransportChoice},
};
use nxmesh_core::testkit::patience::patiently;
use nxmesh_master_lib::testkit::loopback;
use tokio_util::sync::CancellationToken;

use super::{Scene, proxy::Between, ready_by};

async fn both_ends_notice(transport: TransportChoice, backend: &str) {
    let (interval, timeout) = (Duration::from_millis(200), Duration::from_millis(400));
    let mut config = loopback();
    config.keepalive.interval = interval;
    config.keepalive.timeout = timeout;
    let scene = Scene::with(config).await;
    let frozen = CancellationToken::new();
    let between = Between::relay(scene.master.addresses().agents, frozen.clone()).await;
    let mut options = scene.options(between.port).await;
    options.transport = transport;
    options.connection.keepalive = Keepalive { interval, timeout };
    let mut agent = scene.rig.start_to_master(options);
    agent.reached(ready_by(backend)).await;
    // Longer than the patience: a quiet connection is no dead one.
    tokio::time::sleep(2 * (interval + timeout)).await;
    let status = agent.reached(|_| true).await;
    assert_eq!(status.connection.state, ConnectionState::Ready);
    assert!(scene.view().await.connected);

    frozen.cancel();
    let lost = agent.reached(|it| it.connection.state != ConnectionState::Ready);
    let lost = patiently("the agent's end", lost).await;
    assert!(lost.connection.last_error.is_some());
    patiently("the master's end", async {
        while scene.view().await.connected {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn both_ends_of_grpc_notice_that_nothing_goes_through() {
    both_ends_notice(TransportChoice::Grpc, "grpc").await;
}

#[tokio::test]
async fn both_ends_of_a_websocket_notice_that_nothing_goes_through() {
    both_ends_notice(TransportChoice::WebSocket, "websocket").await;
}

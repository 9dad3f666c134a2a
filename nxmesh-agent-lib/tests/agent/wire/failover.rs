//! Several masters, some of them away.

use nxmesh_agent_lib::ConnectionState;
use nxmesh_agent_lib::testkit::free_port;
use nxmesh_core::testkit::patience::patiently;

use super::{Scene, proxy::Between, ready_by};

fn url(port: u16) -> nxmesh_agent_lib::transport::MasterUrl {
    format!("https://localhost:{port}").parse().unwrap()
}

/// Two ways to one master stand for two masters of one fleet.
#[tokio::test]
async fn an_agent_goes_to_another_master_at_once() {
    let scene = Scene::open().await;
    let master = scene.master.addresses().agents;
    let (one, two) = (
        Between::relay(master, Default::default()).await,
        Between::relay(master, Default::default()).await,
    );
    let mut options = scene.options(one.port).await;
    options.master_urls = [free_port(), one.port, two.port, free_port()]
        .map(url)
        .into();
    // A second pause would outlast the test: every change happens within one round.
    options.connection.backoff.first = std::time::Duration::from_millis(20);
    options.connection.backoff.cap = std::time::Duration::from_millis(20);
    let mut agent = scene.rig.start_to_master(options.clone());
    agent.reached(ready_by("grpc")).await;

    drop(one);
    patiently("another way", agent.reached(ready_by("grpc"))).await;
    let port = two.port;
    drop(two);
    let away = agent.reached(|it| it.connection.failures >= 2).await;
    assert_ne!(away.connection.state, ConnectionState::Ready);
    let _two = Between::relay_at(port, master).await;
    patiently("the way back", agent.reached(ready_by("grpc"))).await;
    agent.stop().await.unwrap();

    // All of them are remembered from the enrolment.
    options.master_urls.clear();
    let mut agent = scene.rig.start_to_master(options);
    patiently("the next start", agent.reached(ready_by("grpc"))).await;
    agent.stop().await.unwrap();
}

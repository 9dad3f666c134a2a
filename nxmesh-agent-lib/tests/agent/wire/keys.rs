//! A real agent changes its key with a real master, however they speak.

use http::Method;
use nxmesh_agent_lib::transport::TransportChoice;
use nxmesh_core::api::{CommandState, CommandView};
use nxmesh_master_lib::testkit::TestMaster;

use super::{AGENTS, Scene, ready_by};

/// Has the key changed; returns the new one's id.
pub(super) async fn rotate(scene: &Scene) -> String {
    let before = scene.view().await;
    let commands = format!("{AGENTS}/{}/commands?wait=30", before.id);
    let json = [("content-type", "application/json")];
    let kind = r#"{"kind":"rotate-key"}"#;
    let given = scene.client.send(Method::POST, &commands, &json, kind);
    let view: CommandView = given.await.unwrap().json().unwrap();
    assert_eq!(view.state, CommandState::Done, "{view:?}");
    let after = scene.view().await.key.unwrap();
    assert_ne!(after.id, before.key.unwrap().id);
    assert_eq!(after.next, None);
    after.id
}

async fn serves(scene: &Scene, answer: &str) {
    let port = scene.rig.port;
    let site = format!(
        "kind: VirtualHost\nmetadata: {{ name: site }}\nspec:\n  server_names: [site.example]\n  \
         listen: [{{ port: {port}, address: 127.0.0.1 }}]\n  locations: [{{ path: /, respond: {{ \
         status: 200, body: {answer}, content_type: text/plain }} }}]\n"
    );
    let applied = scene.client.apply(site).await.unwrap();
    assert!(applied.status.is_success(), "{}", applied.text());
}

#[tokio::test]
async fn a_key_changes_over_either_transport_and_both_sides_remember_it() {
    for (choice, backend) in [
        (TransportChoice::Grpc, "grpc"),
        (TransportChoice::WebSocket, "websocket"),
    ] {
        let mut scene = Scene::of(TestMaster::start_on_disk().await.unwrap()).await;
        let port = scene.master.addresses().agents.port();
        let mut options = scene.options(port).await;
        options.transport = choice;
        let mut agent = scene.rig.start_to_master(options.clone());
        agent.reached(ready_by(backend)).await;
        let first = rotate(&scene).await;
        serves(&scene, "one").await;
        let applied = agent.reached(|status| status.applied.is_some()).await;
        agent.reached(|status| status.ready).await;
        assert_eq!(scene.rig.get().await, (200, "one".to_owned()));

        // Killed, and the master started anew.
        drop(agent);
        scene.master = scene.master.restart_after(|_| Ok(())).await.unwrap();
        scene.client = scene.master.client().await.unwrap();
        options.bootstrap_token = None;
        options.master_ca = None;
        let mut agent = scene.rig.start_to_master(options);
        agent.reached(ready_by(backend)).await;
        assert_eq!(scene.view().await.key.unwrap().id, first);
        rotate(&scene).await;
        serves(&scene, "two").await;
        agent.reached(|now| now.applied > applied.applied).await;
        assert_eq!(scene.rig.get().await, (200, "two".to_owned()));
        agent.stop().await.unwrap();
    }
}

//! An agent whose clock is a day off, however it speaks with its master.

use std::time::Duration;

use nxmesh_agent_lib::{Agent, AgentOptions, transport::TransportChoice};
use nxmesh_core::{
    api::AgentView,
    contract::clock::{Clock as _, SystemClock},
    memory::ManualClock,
    testkit::patience::patiently,
};

use super::{AGENTS, Scene, fallback::apply, keys::rotate, ready_by};
use crate::rig::RunningAgent;

const DAY_MS: i64 = 24 * 3600 * 1000;

fn start(scene: &Scene, options: &AgentOptions, off: i64) -> RunningAgent {
    let now = SystemClock.unix_millis().saturating_add_signed(off);
    let agent = Agent::builder(options.clone())
        .clock(ManualClock::at_unix_millis(now))
        .reloader(scene.rig.reloader());
    crate::rig::Rig::run(agent)
}

/// Waits until the master has seen figures of its one agent.
async fn measured(scene: &Scene) -> AgentView {
    let path = format!("{AGENTS}/{}", scene.view().await.id);
    patiently("figures", async {
        loop {
            let answer = scene.client.get(&path).await.unwrap();
            let view: AgentView = answer.json().unwrap();
            if view.metrics.is_some() {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

/// It enrols, is given what is fetched by a call of its own, changes its key, is
/// measured, and is known again after a restart.
async fn a_day_is_harmless(choice: TransportChoice, backend: &str) {
    for off in [-DAY_MS, DAY_MS] {
        let scene = Scene::open().await;
        let mut options = scene.options(scene.master.addresses().agents.port()).await;
        options.transport = choice;
        let mut agent = start(&scene, &options, off);
        agent.reached(ready_by(backend)).await;
        apply(&scene, "one").await;
        agent.reached(|status| status.applied.is_some()).await;
        agent.reached(|status| status.ready).await;
        assert_eq!(scene.rig.get().await, (200, "one".to_owned()));
        rotate(&scene).await;
        agent.reached(ready_by(backend)).await;
        let view = measured(&scene).await;
        // What the master shows is by its own clock.
        let seen = SystemClock.unix_millis().abs_diff(view.last_seen_at);
        assert!(seen < 60_000, "{seen}");
        agent.stop().await.unwrap();

        let mut agent = start(&scene, &options, -off);
        let before = agent.reached(ready_by(backend)).await;
        apply(&scene, "two").await;
        agent.reached(|now| now.applied > before.applied).await;
        assert_eq!(scene.rig.get().await, (200, "two".to_owned()));
        agent.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_is_a_day_off_is_harmless_over_grpc() {
    a_day_is_harmless(TransportChoice::Grpc, "grpc").await;
}

#[tokio::test]
async fn a_clock_that_is_a_day_off_is_harmless_over_a_websocket() {
    a_day_is_harmless(TransportChoice::WebSocket, "websocket").await;
}

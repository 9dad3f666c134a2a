//! The master's authority changes, and no agent is locked out.

use std::{path::Path, time::SystemTime};

use nxmesh_agent_lib::AgentOptions;
use nxmesh_master_lib::{succession, testkit::TestMaster};

use super::{Scene, ready_by};
use crate::rig::Rig;

/// The authorities that an agent has on disk.
fn pinned(rig: &Rig) -> String {
    let text = std::fs::read_to_string(rig.state_dir().join("identity")).unwrap();
    let line = text.lines().next().unwrap();
    let identity: serde_json::Value = serde_json::from_str(line).unwrap();
    identity["master_ca"].as_str().unwrap().to_owned()
}

fn file(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Connects once.
async fn visit(rig: &Rig, options: &AgentOptions) {
    let mut agent = rig.start_to_master(options.clone());
    agent.reached(ready_by("grpc")).await;
    agent.stop().await.unwrap();
}

/// Enrols an agent whose later starts know the authority only from then.
async fn enrolled(scene: &Scene, rig: &Rig) -> AgentOptions {
    let port = scene.master.addresses().agents.port();
    let mut options = AgentOptions {
        apply: rig.options().apply,
        ..scene.options(port).await
    };
    visit(rig, &options).await;
    options.master_ca = None;
    options.bootstrap_token = None;
    options
}

#[tokio::test]
async fn agents_that_were_told_and_those_that_were_away_follow_to_the_successor() {
    let mut scene = Scene::of(TestMaster::start_on_disk().await.unwrap()).await;
    let away = Rig::new();
    let away_options = enrolled(&scene, &away).await;
    let told_options = enrolled(&scene, &scene.rig).await;
    let first = scene.master.ca_pem().to_owned();
    assert_eq!(pinned(&scene.rig), first);

    let master = scene.master.restart_after(|data| {
        assert!(succession::prepare(data, SystemTime::now())?);
        Ok(())
    });
    scene.master = master.await.unwrap();
    let second = file(scene.master.folder(), "ca-next.pem");
    assert_eq!(scene.master.ca_pem(), first);
    let mut told = scene.rig.start_to_master(told_options.clone());
    told.reached(ready_by("grpc")).await;
    assert_eq!(pinned(&scene.rig), first.clone() + &second);

    // It stays at work through the change.
    let master = scene
        .master
        .restart_after(|data| Ok(succession::promote(data)?));
    scene.master = master.await.unwrap();
    assert_eq!(scene.master.ca_pem(), second);
    told.reached(|_| pinned(&scene.rig) == second).await;
    told.reached(ready_by("grpc")).await;
    told.stop().await.unwrap();
    assert_eq!(pinned(&away), first);
    visit(&away, &away_options).await;
    assert_eq!(pinned(&away), second);

    // Neither needs the old authority any more.
    let master = scene
        .master
        .restart_after(|data| Ok(std::fs::remove_file(data.file("ca-vouchers.pem"))?));
    scene.master = master.await.unwrap();
    visit(&away, &away_options).await;
    visit(&scene.rig, &told_options).await;
}

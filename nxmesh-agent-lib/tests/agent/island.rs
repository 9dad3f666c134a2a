//! The master is away.

use std::time::{SystemTime, UNIX_EPOCH};

use nxmesh_agent_lib::{
    ConnectionState,
    testkit::{ReadOnly, RealNginx, ScriptedMaster},
};
use nxmesh_core::wire::ConfigPhase;

use crate::{
    drift::until,
    rig::{Rig, applied, site, version},
};

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis().try_into().unwrap()
}

#[tokio::test]
async fn an_island_knows_since_when_it_is_one() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport);
    applied(&master, 1, &site(rig.port, "served")).await;
    let near = agent
        .reached(|status| status.connection.state == ConnectionState::Ready)
        .await;
    assert_eq!(near.island_since, None);
    let lost = now();
    master.go_away();
    let alone = agent.reached(|status| status.island_since.is_some()).await;
    let since = alone.island_since.unwrap();
    assert!((lost..=now()).contains(&since), "{since}");
    let later = agent
        .reached(|status| status.connection.failures >= 4)
        .await;
    assert_eq!(later.island_since, Some(since), "each attempt counts anew");
    assert_eq!(later.connection.since, since);
    assert_eq!(rig.get().await, (200, "served".to_owned()));
    // The watchdog does its work here too.
    rig.kill_nginx();
    agent.reached(|status| status.nginx.restarts == 1).await;
    master.come_back();
    let near = agent.reached(|status| status.island_since.is_none()).await;
    assert_eq!(near.connection.state, ConnectionState::Ready);
    assert!(near.connection.since > since);
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_of_the_agent_does_not_shorten_the_island() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport.clone());
    applied(&master, 1, &site(rig.port, "served")).await;
    master.go_away();
    let alone = agent.reached(|status| status.island_since.is_some()).await;
    let since = alone.island_since;
    let mark = rig.state_dir().join("island");
    until("it is stored", || mark.exists()).await;
    agent.stop().await.unwrap();
    let mut agent = rig.start(transport.clone());
    let alone = agent.reached(|status| status.island_since.is_some()).await;
    assert_eq!(alone.island_since, since);
    master.come_back();
    agent.reached(|status| status.island_since.is_none()).await;
    until("it is forgotten", || !mark.exists()).await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn what_happens_on_an_island_from_the_start_reaches_the_master() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport.clone());
    applied(&master, 1, &site(rig.port, "before")).await;
    // Taken on, and refused: its port belongs to somebody else.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    master.desire(version(2), &site(port, "after"));
    agent
        .reached(|status| status.accepted == Some(version(2)))
        .await;
    agent.stop().await.unwrap();

    let begun = now();
    master.go_away();
    let mut agent = rig.start(transport);
    let alone = agent.reached(|status| status.island_since.is_some()).await;
    assert!((begun..=now()).contains(&alone.island_since.unwrap()));
    drop(taken);
    agent
        .reached(|status| status.applied == Some(version(2)) || status.failure.is_some())
        .await;
    let before = master.heard().statuses.len();
    master.come_back();
    let told = master
        .wait_for(|heard| {
            let mut since = heard.statuses.iter().skip(before);
            since.find(|it| it.version.unwrap().revision == 2).cloned()
        })
        .await
        .unwrap();
    let phases = [ConfigPhase::Applied, ConfigPhase::Rejected];
    assert!(phases.contains(&told.phase()), "{told:?}");
    if told.phase() == ConfigPhase::Applied {
        let (_, body) = RealNginx::ask(port, "site.example", "/").await.unwrap();
        assert_eq!(body, "after");
    }
    agent.reached(|status| status.island_since.is_none()).await;
    agent.stop().await.unwrap();
}

/// Nobody can tell such an agent anything any more; nginx it looks after.
/// A disk that takes nothing keeps neither the master nor whoever asks away for good.
#[tokio::test]
async fn an_agent_whose_disk_takes_nothing_reaches_its_master() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can mount");
        return;
    }
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start(transport.clone());
    applied(&master, 1, &site(rig.port, "served")).await;
    agent.stop().await.unwrap();
    let read_only = ReadOnly::new(&rig.state_dir());
    let mut agent = rig.start(transport);
    let near = agent
        .reached(|status| status.connection.state == ConnectionState::Ready)
        .await;
    let unkept = near.connection.number_unkept.unwrap();
    assert!(unkept.contains("Read-only"), "{unkept}");
    assert_eq!(rig.get().await, (200, "served".to_owned()));
    drop(read_only);
    until("it can be asked", || {
        rig.state_dir().join("agent.sock").exists()
    })
    .await;
    applied(&master, 2, &site(rig.port, "changed")).await;
    assert_eq!(rig.get().await, (200, "changed".to_owned()));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_lost_its_identity_keeps_nginx_at_what_it_has() {
    for (name, kept) in [("identity", 0), ("identity", 200), ("key", 7), ("key", 0)] {
        let rig = Rig::new();
        let (master, transport) = ScriptedMaster::start();
        let agent = rig.start(transport.clone());
        applied(&master, 1, &site(rig.port, "served")).await;
        agent.stop().await.unwrap();
        rig.kill_nginx();
        let path = rig.state_dir().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(kept);
        std::fs::write(&path, bytes).unwrap();

        let mut agent = rig.start(transport);
        let status = agent.reached(|status| status.ready).await;
        assert_eq!(status.applied, Some(version(1)));
        assert_eq!(rig.get().await, (200, "served".to_owned()));
        let stranded = agent.reached(|status| status.island_since.is_some()).await;
        assert_eq!(stranded.connection.state, ConnectionState::Error);
        let why = stranded.connection.last_error.unwrap();
        assert!(why.contains(name) || why.contains("identity"), "{why}");
        rig.kill_nginx();
        agent.reached(|status| status.nginx.restarts == 1).await;
        assert_eq!(rig.get().await, (200, "served".to_owned()));
        agent.stop().await.unwrap();
    }
}

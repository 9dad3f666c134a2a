//! Servers of upstreams that fail, and nginx led around them.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use nxmesh_agent_lib::{
    ActiveChecks, AgentStatus,
    apply::Server,
    testkit::{RealNginx, ScriptedMaster, free_port},
};
use nxmesh_core::{bundle::Slice, wire::ConfigPhase};

use crate::{
    health::{check, told},
    rig::{Rig, RunningAgent, applied, slice, unresolvable, version},
};

fn upstream(port: u16, servers: &[SocketAddr]) -> Slice {
    let servers: String = servers
        .iter()
        .map(|it| format!("    - {{ address: \"{it}\" }}\n"))
        .collect();
    slice(&format!(
        r#"
kind: VirtualHost
metadata: {{ name: site }}
spec:
  server_names: [site.example]
  listen: [{{ port: {port}, address: 127.0.0.1 }}]
  locations: [{{ path: /, proxy: {{ upstream: shop }} }}]
---
kind: Upstream
metadata: {{ name: shop }}
spec:
  health_check: {{ interval: 1s, rises: 1, falls: 2 }}
  servers:
{servers}"#
    ))
}

fn server(address: SocketAddr) -> Server {
    Server {
        upstream: "shop".parse().unwrap(),
        address: address.to_string(),
    }
}

fn name(address: SocketAddr) -> String {
    format!("Upstream/shop {address}")
}

/// A port on which nobody listens, and then somebody.
fn local() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

async fn enforcing(rig: &Rig, servers: &[SocketAddr]) -> (ScriptedMaster, RunningAgent) {
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport, |options| {
        options.control.active_checks = ActiveChecks::Enforce;
        options.control.mark_spacing = Duration::from_millis(200);
    });
    master.desire(version(1), &upstream(rig.port, servers));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    (master, agent)
}

/// What nginx reads of the upstream.
fn rendered(rig: &Rig) -> String {
    let entry = std::fs::read_to_string(rig.state_dir().join("nginx.conf")).unwrap();
    let release = entry
        .split(['"', ' ', ';'])
        .find(|it| it.contains("/releases/"));
    let folder = std::path::Path::new(release.unwrap()).parent().unwrap();
    let files = std::fs::read_dir(folder.join("upstreams")).unwrap();
    let files = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    files.collect()
}

fn is_down(rig: &Rig, address: SocketAddr) -> bool {
    let text = rendered(rig);
    let line = text.lines().find(|it| it.contains(&address.to_string()));
    line.unwrap().contains(" down")
}

#[tokio::test]
async fn a_server_that_fails_is_shown_and_no_more_unless_it_is_asked_for() {
    let rig = Rig::new();
    let good = TcpListener::bind(local()).unwrap();
    let servers = [good.local_addr().unwrap(), local()];
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start(transport);
    master.desire(version(1), &upstream(rig.port, &servers));
    let report = told(&master, |report| {
        check(report, &name(servers[1])).is_some_and(|it| !it.ok)
            && check(report, &name(servers[0])).is_some_and(|it| it.ok)
    });
    let report = report.await;
    let bad = check(&report, &name(servers[1])).unwrap();
    assert!(bad.message.contains("could not connect"), "{bad:?}");
    assert!(!bad.marked_down);
    assert!(!is_down(&rig, servers[1]), "{}", rendered(&rig));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn nginx_is_led_around_a_server_that_fails_and_back() {
    let rig = Rig::new();
    let good = RealNginx::start().await;
    let servers = [(Ipv4Addr::LOCALHOST, good.port()).into(), local()];
    let (master, mut agent) = enforcing(&rig, &servers).await;
    let led = agent.reached(|status| status.marked_down == [server(servers[1])]);
    let led = led.await;
    assert!(is_down(&rig, servers[1]) && !is_down(&rig, servers[0]));
    assert_eq!((led.applied, led.failure), (Some(version(1)), None));
    let report = told(&master, |report| {
        check(report, &name(servers[1])).is_some_and(|it| it.marked_down && !it.ok)
    });
    report.await;
    for _ in 0..10 {
        assert_eq!(rig.get().await, (200, "initial".to_owned()));
    }
    // A new version is served without it as well, one that is refused changes nothing.
    let more = [servers[0], servers[1], local()];
    applied(&master, 2, &upstream(rig.port, &more)).await;
    assert!(is_down(&rig, servers[1]));
    master.desire(version(3), &unresolvable(rig.port));
    master
        .status(version(3), ConfigPhase::Rejected)
        .await
        .unwrap();
    applied(&master, 4, &upstream(rig.port, &servers)).await;
    let _back = TcpListener::bind(servers[1]).unwrap();
    agent.reached(|status| status.marked_down.is_empty()).await;
    assert!(!is_down(&rig, servers[1]));
    let report = told(&master, |report| {
        check(report, &name(servers[1])).is_some_and(|it| it.ok && !it.marked_down)
    });
    report.await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn the_last_server_of_an_upstream_stays() {
    let rig = Rig::new();
    let first = TcpListener::bind(local()).unwrap();
    let second = TcpListener::bind(local()).unwrap();
    let servers = [first.local_addr().unwrap(), second.local_addr().unwrap()];
    let (master, mut agent) = enforcing(&rig, &servers).await;
    told(&master, |report| {
        report.checks.iter().filter(|it| it.ok).count() == 2
    })
    .await;
    drop(first);
    agent
        .reached(|status| status.marked_down == [server(servers[0])])
        .await;
    drop(second);
    let report = told(&master, |report| report.checks.iter().all(|it| !it.ok));
    let report = report.await;
    assert!(check(&report, &name(servers[0])).unwrap().marked_down);
    assert!(!check(&report, &name(servers[1])).unwrap().marked_down);
    assert!(is_down(&rig, servers[0]) && !is_down(&rig, servers[1]));
    // The first is back: now the second can be done without.
    let _first = TcpListener::bind(servers[0]).unwrap();
    agent
        .reached(|status| status.marked_down == [server(servers[1])])
        .await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_restarted_agent_knows_what_is_marked_and_frees_it_where_it_may_not_mark() {
    let rig = Rig::new();
    let good = TcpListener::bind(local()).unwrap();
    let servers = [good.local_addr().unwrap(), local()];
    let marked = |status: &AgentStatus| status.marked_down == [server(servers[1])];
    let (_master, mut agent) = enforcing(&rig, &servers).await;
    agent.reached(marked).await;
    agent.stop().await.unwrap();

    let (_master, transport) = ScriptedMaster::start();
    let mut agent = rig.start_with(transport, |options| {
        options.control.active_checks = ActiveChecks::Enforce;
        options.control.mark_spacing = Duration::from_millis(50);
    });
    let known = agent.reached(|status| status.ready).await;
    assert!(marked(&known), "{known:?}");
    agent
        .reached(|status| {
            status
                .health
                .checks
                .iter()
                .any(|it| it.marked_down && !it.ok)
        })
        .await;
    assert!(is_down(&rig, servers[1]));
    agent.stop().await.unwrap();

    let (_master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport);
    agent
        .reached(|status| status.ready && status.marked_down.is_empty())
        .await;
    assert!(!is_down(&rig, servers[1]));
    agent.stop().await.unwrap();
}

//! kill -9 at any moment costs nothing that was promised.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nxmesh_core::api::WriteResponse;
use nxmesh_e2e::load::{self, Load};
use nxmesh_e2e::node::Node;
use nxmesh_e2e::{Cluster, wait};

/// Two virtual hosts that change together.
fn pair(node: &Node, version: u64) -> String {
    let answer = format!("version {version}");
    node.answering("left", "left.test", &answer) + &node.answering("right", "right.test", &answer)
}

#[test]
fn an_agent_killed_at_any_moment_of_a_hundred_changes_leaves_old_or_new_and_comes_to_the_truth() {
    const CHANGES: u64 = 100;
    let mut cluster = Cluster::start(1).unwrap();
    cluster
        .apply(&pair(&cluster.nodes[0], 0))
        .unwrap()
        .success()
        .unwrap();
    let token = cluster.master.token().unwrap();

    let newest = Arc::new(AtomicU64::new(0));
    let known = Arc::clone(&newest);
    let load = Load::start(load::Options {
        targets: vec![
            cluster.nodes[0].http("left.test", "/"),
            cluster.nodes[0].http("right.test", "/"),
        ],
        new_connections: 2,
        keep_alive: 0,
        pause: Duration::from_millis(5),
        expected: Arc::new(move |response| {
            let text = response.text();
            let version = text
                .strip_prefix("version ")
                .and_then(|rest| rest.parse::<u64>().ok());
            response.status == 200
                && version.is_some_and(|version| version <= known.load(Ordering::SeqCst))
        }),
    });
    let random = RandomState::new();
    for change in 1..=CHANGES {
        newest.store(change, Ordering::SeqCst);
        let documents = pair(&cluster.nodes[0], change);
        let response = cluster.master.post_apply(&token, &documents).unwrap();
        assert_eq!(response.status, 200, "{}", response.text());
        // The moment is the point of this test: anywhere between connecting and confirming.
        thread::sleep(Duration::from_millis(random.hash_one(change) % 400));
        let node = &mut cluster.nodes[0];
        node.kill9().unwrap();
        node.start().unwrap();
        if change % 10 == 0 {
            converges(&cluster, &response.body, change);
        }
    }
    let tally = load.finish().new_connections;
    assert!(tally.requests > 500, "{tally}");
    assert_eq!(tally.failures(), 0, "{tally}");
}

/// Once the status says so, both virtual hosts serve this version on every new connection.
#[track_caller]
fn converges(cluster: &Cluster, written: &[u8], change: u64) {
    let written: WriteResponse = serde_json::from_slice(written).unwrap();
    let node = &cluster.nodes[0];
    let agent = wait::until("the restarted agent converges", || {
        let agent = cluster.agent(node)?;
        Ok((agent.in_sync && agent.applied == written.version).then_some(agent))
    })
    .unwrap();
    for host in ["left.test", "right.test"] {
        for _ in 0..3 {
            let text = node.http(host, "/").get().unwrap().text();
            assert_eq!(text, format!("version {change}"), "{host}: {agent:?}");
        }
    }
    assert_eq!(agent.failure, None);
    // What the agent says of itself and what nginx says are the same. The master may know it all
    // from the agent before, while the one started since is not there yet.
    let status = wait::until("the restarted agent answers", || node.status().map(Some)).unwrap();
    assert_eq!(
        status["applied"],
        serde_json::json!(agent.applied),
        "{status}"
    );
    let running = agent.running.unwrap();
    assert_eq!(status["running"], running.to_string(), "{status}");
    let release = node.release_served().unwrap();
    assert!(
        release.ends_with(&running.short()),
        "{release} is not {running}"
    );
}

#[test]
fn a_write_that_was_answered_survives_the_masters_death_and_reaches_the_agents() {
    let mut cluster = Cluster::start(2).unwrap();
    let token = cluster.master.token().unwrap();
    for round in 1..=5 {
        let answer = format!("round {round}");
        let documents: String = cluster
            .nodes
            .iter()
            .map(|node| node.answering(&format!("shop-{}", node.name()), "shop.test", &answer))
            .collect();
        let response = cluster.master.post_apply(&token, &documents).unwrap();
        cluster.master.kill9().unwrap();
        assert_eq!(response.status, 200, "{}", response.text());
        cluster.master.run().unwrap();
        for node in &cluster.nodes {
            wait::until("the change is served", || {
                let response = node.http("shop.test", "/").get()?;
                Ok((response.text() == answer).then_some(()))
            })
            .unwrap();
        }
    }
    // A token from before the deaths is as good as ever, and so is the status.
    wait::until("every agent is in sync", || {
        Ok(cluster
            .agents()?
            .iter()
            .all(|agent| agent.in_sync)
            .then_some(()))
    })
    .unwrap();
}

//! An agent without its master.

use nxmesh_e2e::{Cluster, wait};

#[test]
fn with_the_master_away_an_agent_starts_nginx_from_what_it_has() {
    let mut cluster = Cluster::start(1).unwrap();
    let documents = cluster.nodes[0].answering("shop", "shop.test", "kept");
    cluster.apply(&documents).unwrap().success().unwrap();
    let before = cluster.agent(&cluster.nodes[0]).unwrap();

    cluster.master.kill9().unwrap();
    let node = &mut cluster.nodes[0];
    node.kill9().unwrap();
    assert_eq!(node.http("shop.test", "/").get().unwrap().text(), "kept");
    node.kill_nginx().unwrap();
    assert!(node.http("shop.test", "/").get().is_err());
    node.start().unwrap();
    wait::until("nginx serves from the cache", || {
        Ok((node.http("shop.test", "/").get()?.text() == "kept").then_some(()))
    })
    .unwrap();

    cluster.master.run().unwrap();
    let agent = wait::until("the agent is back", || {
        let agent = cluster.agent(&cluster.nodes[0])?;
        Ok((agent.connected && agent.in_sync).then_some(agent))
    })
    .unwrap();
    assert_eq!(
        (agent.applied, agent.running),
        (before.applied, before.running)
    );
}

#[test]
fn what_was_written_while_an_agent_was_away_reaches_it_when_it_returns() {
    let mut cluster = Cluster::start(1).unwrap();
    let version =
        |cluster: &Cluster, answer: &str| cluster.nodes[0].answering("shop", "shop.test", answer);
    let first = version(&cluster, "first");
    cluster.apply(&first).unwrap().success().unwrap();
    cluster.nodes[0].kill9().unwrap();
    wait::until("the master notices", || {
        Ok((!cluster.agent(&cluster.nodes[0])?.connected).then_some(()))
    })
    .unwrap();

    // Nothing is new, and nobody sees what nginx serves.
    let outcome = cluster.ctl.run_with(&["apply", "-f", "-"], &first).unwrap();
    assert_eq!(outcome.code, 8, "{}", outcome.text());
    let said = outcome.text();
    assert!(
        said.contains("disconnected") && !said.contains("seen serving"),
        "{said}"
    );

    let second = version(&cluster, "second");
    let outcome = cluster
        .ctl
        .run_with(&["apply", "--timeout", "1s", "-f", "-"], &second)
        .unwrap();
    assert_eq!(outcome.code, 8, "{}", outcome.text());
    assert!(
        outcome.stdout.contains("disconnected"),
        "{}",
        outcome.text()
    );
    assert!(
        outcome.stdout.contains("0 updated, 0 failed, 1 skipped"),
        "{}",
        outcome.text()
    );
    let node = &mut cluster.nodes[0];
    assert_eq!(node.http("shop.test", "/").get().unwrap().text(), "first");

    node.start().unwrap();
    wait::until("the agent serves what was written meanwhile", || {
        Ok((node.http("shop.test", "/").get()?.text() == "second").then_some(()))
    })
    .unwrap();
}

//! Agents change their keys, and are served all along.

use std::fs;

use nxmesh_core::api::KeyView;
use nxmesh_e2e::{Cluster, wait};

fn key(cluster: &Cluster) -> KeyView {
    let agent = cluster.agent(&cluster.nodes[0]).unwrap();
    agent.key.unwrap()
}

/// Waits for another key than `before`.
fn changed(cluster: &Cluster, before: &str) -> KeyView {
    wait::until("the key has changed", || {
        let key = cluster.agent(&cluster.nodes[0])?.key;
        Ok(key.filter(|key| key.id != before))
    })
    .unwrap()
}

/// A change is confirmed and served.
fn serves(cluster: &Cluster, answer: &str) {
    let node = &cluster.nodes[0];
    let site = node.answering("shop", "shop.test", answer);
    cluster.apply(&site).unwrap().success().unwrap();
    assert_eq!(node.http("shop.test", "/").get().unwrap().text(), answer);
}

fn connected(cluster: &Cluster) {
    wait::until("the agent is connected", || {
        Ok(cluster.agent(&cluster.nodes[0])?.connected.then_some(()))
    })
    .unwrap();
}

fn restart_both(cluster: &mut Cluster) {
    cluster.nodes[0].kill9().unwrap();
    cluster.master.kill9().unwrap();
    cluster.master.run().unwrap();
    cluster.nodes[0].start().unwrap();
    connected(cluster);
}

#[test]
fn a_key_changes_on_command() {
    let mut cluster = Cluster::start(1).unwrap();
    serves(&cluster, "one");
    let agent = cluster.agent(&cluster.nodes[0]).unwrap();
    let id = agent.id.to_string();
    let run = |cluster: &Cluster, arguments: &[&str]| cluster.ctl.run(arguments).unwrap();
    let first = agent.key.unwrap();
    let described = run(&cluster, &["describe", "agent", &id]);
    let shown = format!("key        {}, since ", first.id);
    assert!(described.stdout.contains(&shown), "{}", described.text());
    let identity = cluster.nodes[0].folder().join("state/identity");
    let copied = fs::read(&identity).unwrap();

    let rotated = run(&cluster, &["agent", "rotate-key", &agent.hostname]);
    assert_eq!(rotated.code, 0, "{}", rotated.text());
    let second = key(&cluster);
    assert_ne!(second.id, first.id);
    assert_eq!(second.next, None);
    let said = format!("rotate-key done: signs with key {}", second.id);
    assert!(rotated.stdout.contains(&said), "{}", rotated.text());
    serves(&cluster, "two");
    restart_both(&mut cluster);
    serves(&cluster, "three");
    assert_eq!(key(&cluster), second);

    // What had the old key is out, until it has the new one.
    cluster.nodes[0].stop().unwrap();
    let kept = fs::read(&identity).unwrap();
    fs::write(&identity, copied).unwrap();
    cluster.nodes[0].start().unwrap();
    let node = &mut cluster.nodes[0];
    wait::until("the old key is refused", || {
        let said = node.process()?.output()?;
        Ok(said.contains("does not sign with key").then_some(()))
    })
    .unwrap();
    let away = run(&cluster, &["agent", "rotate-key", &id]);
    assert_eq!(away.code, 5, "{}", away.text());
    cluster.nodes[0].stop().unwrap();
    fs::write(&identity, kept).unwrap();
    cluster.nodes[0].start().unwrap();
    connected(&cluster);
    serves(&cluster, "four");
    let again = run(&cluster, &["agent", "rotate-key", &id]);
    assert_eq!(again.code, 0, "{}", again.text());
    assert_ne!(key(&cluster).id, second.id);
}

/// Keys change each second, and both sides die again and again.
#[test]
fn old_keys_change_by_themselves_whoever_is_killed() {
    let mut cluster = Cluster::start(1).unwrap();
    let mut before = key(&cluster).id;
    cluster.master.stop().unwrap();
    cluster.master.tell(&["--key-lifetime", "1s"]);
    cluster.master.run().unwrap();
    for round in 0..6 {
        before = changed(&cluster, &before).id;
        match round % 3 {
            0 => {
                cluster.nodes[0].kill9().unwrap();
                cluster.nodes[0].start().unwrap();
            }
            1 => {
                cluster.master.kill9().unwrap();
                cluster.master.run().unwrap();
            }
            _ => restart_both(&mut cluster),
        }
    }
    before = changed(&cluster, &before).id;
    changed(&cluster, &before);

    cluster.master.stop().unwrap();
    cluster.master.tell(&["--key-lifetime", "off"]);
    cluster.master.run().unwrap();
    connected(&cluster);
    let settled = wait::until("no change is on its way", || {
        let key = cluster.agent(&cluster.nodes[0])?.key;
        Ok(key.filter(|key| key.next.is_none()))
    })
    .unwrap();
    serves(&cluster, "settled");
    restart_both(&mut cluster);
    serves(&cluster, "served");
    assert_eq!(key(&cluster), settled);
}

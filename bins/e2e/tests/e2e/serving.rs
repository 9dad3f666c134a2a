//! Applied means served.

use nxmesh_e2e::Cluster;

/// As soon as `apply` has returned, no new connection gets an older answer; not once in fifty changes.
#[test]
fn what_apply_confirmed_is_served_at_once_fifty_times_in_a_row() {
    let mut cluster = Cluster::start(2).unwrap();
    for change in 1..=50 {
        let answer = format!("answer {change}");
        let documents: String = cluster
            .nodes
            .iter()
            .map(|node| node.answering(&format!("shop-{}", node.name()), "shop.test", &answer))
            .collect();
        let outcome = cluster.apply(&documents).unwrap().success().unwrap();
        for node in &cluster.nodes {
            for _ in 0..8 {
                let response = node.http("shop.test", "/").get().unwrap();
                assert_eq!((response.status, response.text()), (200, answer.clone()));
            }
        }
        let closing = outcome.stdout.lines().last().unwrap_or_default();
        assert_eq!(closing, "2 updated, 0 failed, 0 skipped");
    }
    // Nothing differs any more: no revision, and still a truthful answer.
    let node = &cluster.nodes[0];
    let same = node.answering("shop-n1", "shop.test", "answer 50");
    let before = cluster.agents().unwrap();
    let outcome = cluster.apply(&same).unwrap().success().unwrap();
    assert!(
        outcome.stdout.contains("VirtualHost/shop-n1 unchanged"),
        "{}",
        outcome.text()
    );
    let applied = |agents: &[nxmesh_core::api::AgentView]| -> Vec<_> {
        agents.iter().map(|agent| agent.applied).collect()
    };
    assert_eq!(applied(&cluster.agents().unwrap()), applied(&before));
    // Nor does it wait for an agent that has nothing of it.
    cluster.nodes[1].stop().unwrap();
    let outcome = cluster.apply(&same).unwrap().success().unwrap();
    let closing = outcome.stdout.lines().last().unwrap_or_default();
    assert_eq!(closing, "1 updated, 0 failed, 0 skipped");
}

//! The harness itself: clusters do not disturb each other and leave nothing behind.

use nxmesh_e2e::Cluster;

#[test]
fn two_clusters_live_side_by_side_and_end_without_a_trace() {
    let one = Cluster::start(1).unwrap();
    let other = Cluster::start(1).unwrap();
    for (cluster, answer) in [(&one, "one"), (&other, "other")] {
        let documents = cluster.nodes[0].answering("shop", "shop.test", answer);
        cluster.apply(&documents).unwrap().success().unwrap();
    }
    let served = |cluster: &Cluster| {
        cluster.nodes[0]
            .http("shop.test", "/")
            .get()
            .unwrap()
            .text()
    };
    assert_eq!(
        (served(&one), served(&other)),
        ("one".to_owned(), "other".to_owned())
    );

    let sandbox = one.sandbox().clone();
    let left = one.nodes[0].http("shop.test", "/");
    assert!(
        sandbox.processes().len() >= 4,
        "master, agent, nginx and its workers"
    );
    drop(one);
    assert!(sandbox.processes().is_empty());
    assert!(!sandbox.path().exists());
    assert!(left.get().is_err());
    assert_eq!(served(&other), "other");
}

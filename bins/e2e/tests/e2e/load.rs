//! Reloads under load.

use std::sync::Arc;
use std::time::Duration;

use nxmesh_e2e::load::{self, Load};
use nxmesh_e2e::{Cluster, wait};

/// nginx loses no new connection on a reload, so none may be lost by our doing.
#[test]
fn no_new_connection_fails_across_twenty_reloads() {
    const RELOADS: usize = 20;
    let cluster = Cluster::start(1).unwrap();
    let node = &cluster.nodes[0];
    let site = |answer: &str| node.answering("shop", "shop.test", answer);
    cluster.apply(&site("change 0")).unwrap().success().unwrap();
    let mut generations = vec![node.nginx()];
    let load = Load::start(load::Options {
        targets: vec![node.http("shop.test", "/")],
        new_connections: 4,
        keep_alive: 2,
        pause: Duration::from_millis(1),
        expected: Arc::new(|response| {
            response.status == 200 && response.text().starts_with("change ")
        }),
    });
    for change in 1..=RELOADS {
        cluster
            .apply(&site(&format!("change {change}")))
            .unwrap()
            .success()
            .unwrap();
        generations.push(node.nginx());
    }
    wait::until("the clients have asked enough", || {
        Ok((load.answered() > 2000).then_some(()))
    })
    .unwrap();
    let tally = load.finish();
    assert_eq!(
        tally.new_connections.failures(),
        0,
        "{}",
        tally.new_connections
    );
    // These ask once more when a kept connection was closed, as every real client does.
    assert_eq!(tally.keep_alive.failures(), 0, "{}", tally.keep_alive);
    generations.dedup();
    assert_eq!(
        generations.len(),
        RELOADS + 1,
        "nginx was not reloaded each time"
    );
}

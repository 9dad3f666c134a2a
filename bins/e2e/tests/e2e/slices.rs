//! Each agent gets what its labels choose, and nothing else.

use nxmesh_e2e::Cluster;
use nxmesh_e2e::node::Mode;
use nxmesh_e2e::sandbox::Sandbox;

#[test]
fn agents_with_different_labels_get_different_slices() {
    let mut cluster = Cluster::master_only(&Sandbox::new().unwrap()).unwrap();
    for (name, labels) in [("n1", "node=n1,env=prod"), ("n2", "node=n2,env=test")] {
        let admission = cluster.admission(labels).unwrap();
        let mut node = cluster.prepare_node(name, Mode::Full, &admission).unwrap();
        node.start().unwrap();
        cluster.nodes.push(node);
    }
    cluster.until_ready().unwrap();
    let [production, testing] = &cluster.nodes[..] else {
        panic!("two nodes were made")
    };
    let site = |name: &str, selector: &str, port: u16, answer: &str| {
        format!(
            "kind: VirtualHost\nmetadata: {{ name: {name} }}\nspec:\n  selector: \"{selector}\"\n  \
             server_names: [{name}.test]\n  listen: [{{ port: {port}, address: 127.0.0.1 }}]\n  \
             locations: [{{ path: /, respond: {{ status: 200, body: \"{answer}\" }} }}]\n---\n"
        )
    };
    let documents = |answer: &str| {
        site("live", "env=prod", production.http_port(), answer)
            + &site("trial", "env in (test,dev)", testing.http_port(), "trial")
    };
    let outcome = cluster.apply(&documents("one")).unwrap().success().unwrap();
    assert!(
        outcome.stdout.contains("2 updated, 0 failed, 0 skipped"),
        "{}",
        outcome.text()
    );
    assert_eq!(
        production.http("live.test", "/").get().unwrap().text(),
        "one"
    );
    assert_eq!(
        testing.http("trial.test", "/").get().unwrap().text(),
        "trial"
    );
    let trial_here = production.http("trial.test", "/").get();
    assert!(trial_here.is_err() || trial_here.unwrap().text() != "trial");

    // A change that does not concern an agent does not touch it, nor its nginx.
    let (before, workers) = (cluster.agent(testing).unwrap(), testing.nginx());
    let outcome = cluster.apply(&documents("two")).unwrap().success().unwrap();
    assert!(
        outcome.stdout.contains("1 updated, 0 failed, 0 skipped"),
        "{}",
        outcome.text()
    );
    assert_eq!(
        production.http("live.test", "/").get().unwrap().text(),
        "two"
    );
    let after = cluster.agent(testing).unwrap();
    assert_eq!(
        (after.applied, after.running),
        (before.applied, before.running)
    );
    assert!(after.in_sync, "{after:?}");
    assert_eq!(testing.nginx(), workers, "nginx was reloaded");
}

//! An nginx whose configuration is the machine's, with one line of ours.

use nxmesh_e2e::Cluster;
use nxmesh_e2e::http::Target;
use nxmesh_e2e::node::Mode;
use nxmesh_e2e::sandbox::Sandbox;

#[test]
fn in_mode_include_the_machines_own_site_stays_and_ours_come_and_go() {
    let mut cluster = Cluster::master_only(&Sandbox::new().unwrap()).unwrap();
    cluster.add_node("n1", Mode::Include).unwrap();
    cluster.until_ready().unwrap();
    let node = &cluster.nodes[0];
    let conf = node.folder().join("nginx.conf");
    let before = std::fs::read(&conf).unwrap();
    let address = ([127, 0, 0, 1], node.https_port()).into();
    let own = Target::http(address, "localhost", "/");
    let own_site_serves = || assert_eq!(own.get().unwrap().text(), "the machine's own site");

    for answer in ["first", "second"] {
        let documents = node.answering("shop", "shop.test", answer);
        cluster.apply(&documents).unwrap().success().unwrap();
        assert_eq!(node.http("shop.test", "/").get().unwrap().text(), answer);
        own_site_serves();
    }
    let broken = node
        .answering("shop", "shop.test", "broken")
        .replace("127.0.0.1", "203.0.113.7");
    let outcome = cluster.apply(&broken).unwrap();
    assert_eq!(outcome.code, 9, "{}", outcome.text());
    assert!(outcome.text().contains("203.0.113.7"), "{}", outcome.text());
    assert_eq!(node.http("shop.test", "/").get().unwrap().text(), "second");
    own_site_serves();

    let delete = ["delete", "virtualhost", "shop", "--yes"];
    cluster.ctl.run(&delete).unwrap().success().unwrap();
    let gone = node.http("shop.test", "/").get();
    assert!(gone.is_err(), "still answered: {gone:?}");
    own_site_serves();
    assert_eq!(
        std::fs::read(&conf).unwrap(),
        before,
        "nginx.conf was changed"
    );
}

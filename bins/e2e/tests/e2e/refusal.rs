//! What nginx refuses is told in its words, and changes nothing.

use std::net::TcpListener;

use nxmesh_e2e::port::Port;
use nxmesh_e2e::{Cluster, wait};

/// Applies something broken, and checks what must hold whatever nginx's reason was.
#[track_caller]
fn refused(cluster: &Cluster, broken: &str, words: &str) {
    let node = &cluster.nodes[0];
    let before = cluster.agent(node).unwrap();
    let outcome = cluster.apply(broken).unwrap();
    let text = outcome.text();
    assert_eq!(outcome.code, 9, "{text}");
    assert!(text.contains(words), "{words:?} is missing in:\n{text}");
    assert!(text.contains("0 updated, 1 failed, 0 skipped"), "{text}");
    for _ in 0..8 {
        assert_eq!(node.http("shop.test", "/").get().unwrap().text(), "good");
    }
    let after = cluster.agent(node).unwrap();
    assert_eq!(after.applied, before.applied);
    assert_eq!(after.running, before.running);
    assert!(
        after.desired > before.desired && !after.in_sync,
        "{after:?}"
    );
    let failure = after.failure.unwrap();
    assert!(failure.message.contains(words), "{failure:?}");
    assert_eq!(Some(failure.version), after.desired);
}

#[test]
fn a_configuration_that_nginx_does_not_test_is_refused_and_the_next_one_works() {
    let cluster = Cluster::start(1).unwrap();
    let node = &cluster.nodes[0];
    let good = |answer: &str| node.answering("shop", "shop.test", answer);
    cluster.apply(&good("good")).unwrap().success().unwrap();

    let broken = format!(
        "{}kind: Upstream\nmetadata: {{ name: lost }}\n\
         spec: {{ servers: [{{ address: \"no-such-host.invalid:80\" }}] }}\n---\n\
         kind: VirtualHost\nmetadata: {{ name: lost }}\nspec:\n  server_names: [lost.test]\n  \
         listen: [{{ port: {}, address: 127.0.0.1 }}]\n  \
         locations: [{{ path: /, proxy: {{ upstream: lost }} }}]\n",
        good("bad"),
        node.http_port()
    );
    refused(&cluster, &broken, "host not found in upstream");

    // The broken virtual host is still wanted, so it has to be mended or removed.
    let mended = format!(
        "{}kind: Upstream\nmetadata: {{ name: lost }}\n\
         spec: {{ servers: [{{ address: \"127.0.0.1:9\" }}] }}\n",
        good("mended")
    );
    cluster.apply(&mended).unwrap().success().unwrap();
    assert_eq!(node.http("shop.test", "/").get().unwrap().text(), "mended");
    let agent = cluster.agent(node).unwrap();
    assert!(agent.in_sync && agent.failure.is_none(), "{agent:?}");
}

#[test]
fn a_port_of_another_process_fails_the_reload_until_it_is_free() {
    let cluster = Cluster::start(1).unwrap();
    let node = &cluster.nodes[0];
    let taken = Port::take().unwrap();
    let listener = TcpListener::bind(taken.on_loopback()).unwrap();
    let good = |answer: &str| node.answering("shop", "shop.test", answer);
    cluster.apply(&good("good")).unwrap().success().unwrap();

    let on_taken_port = format!(
        "{}kind: VirtualHost\nmetadata: {{ name: other }}\nspec:\n  server_names: [other.test]\n  \
         listen: [{{ port: {}, address: 127.0.0.1 }}]\n  \
         locations: [{{ path: /, respond: {{ status: 200, body: other }} }}]\n",
        good("bad"),
        taken.number()
    );
    refused(&cluster, &on_taken_port, "Address already in use");

    drop(listener);
    wait::until(
        "the port became free, so the same version is served",
        || {
            let answer = node.http("shop.test", "/").get()?.text();
            Ok((answer == "bad").then_some(()))
        },
    )
    .unwrap();
    let next = on_taken_port.replace("\"bad\"", "\"mended\"");
    cluster.apply(&next).unwrap().success().unwrap();
    assert_eq!(node.http("shop.test", "/").get().unwrap().text(), "mended");
    assert!(cluster.agent(node).unwrap().in_sync);
}

/// One agent cannot, the other can: the exit code says so, and each keeps or gets what it should.
#[test]
fn one_agent_that_fails_does_not_keep_the_others_back() {
    let cluster = Cluster::start(2).unwrap();
    let [one, two] = &cluster.nodes[..] else {
        panic!("two nodes were asked for")
    };
    let both = |answer: &str| {
        one.answering("shop-1", "shop.test", answer) + &two.answering("shop-2", "shop.test", answer)
    };
    cluster.apply(&both("good")).unwrap().success().unwrap();
    // An address of no interface here (RFC 5737).
    let broken = both("new").replacen("127.0.0.1", "203.0.113.7", 1);
    let outcome = cluster.apply(&broken).unwrap();
    assert_eq!(outcome.code, 10, "{}", outcome.text());
    assert!(
        outcome.stdout.contains("1 updated, 1 failed, 0 skipped"),
        "{}",
        outcome.text()
    );
    assert_eq!(one.http("shop.test", "/").get().unwrap().text(), "good");
    assert_eq!(two.http("shop.test", "/").get().unwrap().text(), "new");
}

/// With isolation a bad resource keeps its last good form and all others are served; nobody calls that
/// a success, not even after a restart.
#[test]
fn a_bad_resource_is_held_back_and_the_others_are_served() {
    let mut cluster = Cluster::start(1).unwrap();
    let node = &mut cluster.nodes[0];
    node.stop().unwrap();
    node.isolate();
    node.start().unwrap();
    cluster.until_ready().unwrap();
    let node = &cluster.nodes[0];
    let sites = |shop: &str, blog: &str| {
        node.answering("shop", "shop.test", shop) + &node.answering("blog", "blog.test", blog)
    };
    cluster
        .apply(&sites("one", "one"))
        .unwrap()
        .success()
        .unwrap();

    let lost = "kind: Upstream\nmetadata: { name: lost }\n\
                spec: { servers: [{ address: \"no-such-host.invalid:80\" }] }\n---\n";
    let broken = lost.to_owned()
        + &sites("two", "two").replacen(
            "respond: { status: 200, body: \"two\" }",
            "proxy: { upstream: lost }",
            1,
        );
    assert!(broken.contains("upstream: lost"), "{broken}");
    let outcome = cluster.apply(&broken).unwrap();
    let text = outcome.text();
    assert_eq!(outcome.code, 9, "{text}");
    for words in [
        "served in part",
        "held back Upstream/lost: NX-APPLY-005: ",
        "host not found in upstream",
        "0 updated, 1 failed, 0 skipped",
    ] {
        assert!(text.contains(words), "{words:?} is missing in:\n{text}");
    }
    let answers = |cluster: &Cluster, shop: &str, blog: &str| {
        let node = &cluster.nodes[0];
        let answer = |host: &str| node.http(host, "/").get().unwrap().text();
        assert_eq!((&*answer("shop.test"), &*answer("blog.test")), (shop, blog));
    };
    answers(&cluster, "one", "two");
    let told = |cluster: &Cluster| {
        let agent = cluster.agent(&cluster.nodes[0]).unwrap();
        assert!(!agent.in_sync && agent.applied < agent.desired, "{agent:?}");
        let failure = agent.failure.unwrap();
        assert_eq!(Some(failure.version), agent.desired);
        assert_eq!(failure.held_back[0].resource, "Upstream/lost");
    };
    told(&cluster);

    let node = &mut cluster.nodes[0];
    node.kill9().unwrap();
    node.start().unwrap();
    cluster.until_ready().unwrap();
    answers(&cluster, "one", "two");
    told(&cluster);

    let node = &cluster.nodes[0];
    let sites = node.answering("shop", "shop.test", "three")
        + &node.answering("blog", "blog.test", "three");
    cluster.apply(&sites).unwrap().success().unwrap();
    answers(&cluster, "three", "three");
    let agent = cluster.agent(&cluster.nodes[0]).unwrap();
    assert!(agent.in_sync && agent.failure.is_none(), "{agent:?}");
}

//! What agents check is seen by people, and nginx led around servers that fail.

use std::{collections::BTreeSet, fs};

use nxmesh_e2e::{Cluster, backend::Backend, node::Mode, node::Node, wait};

/// A cluster of one agent that is given more arguments, and files for them.
fn with_agent(prepare: impl FnOnce(&mut Node)) -> Cluster {
    let mut cluster = Cluster::start(0).unwrap();
    let admission = cluster.admission("node=n1").unwrap();
    let mut node = cluster.prepare_node("n1", Mode::Full, &admission).unwrap();
    prepare(&mut node);
    node.start().unwrap();
    cluster.nodes.push(node);
    cluster.until_ready().unwrap();
    cluster
}

/// Waits until `describe agent` says all of `parts`, and not `other`.
fn described(cluster: &Cluster, parts: &[&str], other: &str) -> String {
    let agent = cluster.agent(&cluster.nodes[0]).unwrap();
    let mut said = String::new();
    let waited = wait::until(&format!("{parts:?} without {other:?} is told"), || {
        let outcome = cluster.ctl.run(&["describe", "agent", &agent.hostname])?;
        said = outcome.success()?.stdout;
        let good = parts.iter().all(|part| said.contains(part));
        let good = good && (other.is_empty() || !said.contains(other));
        Ok(good.then(|| said.clone()))
    });
    waited.unwrap_or_else(|error| panic!("{error:#}\n{said}"))
}

#[test]
fn a_check_that_fails_and_recovers_is_seen() {
    let cluster = with_agent(|node| {
        let file = node.folder().join("agent.toml");
        let checks = format!(
            "[[health_checks]]\nname = \"shop\"\nurl = \"http://127.0.0.1:{}/\"\n\
             host = \"shop.test\"\nbody_contains = \"alive\"\ninterval = \"100ms\"\n",
            node.http_port()
        );
        fs::write(&file, checks).unwrap();
        node.tell(&["--config", &file.to_string_lossy()]);
    });
    let site = |answer: &str| cluster.nodes[0].answering("shop", "shop.test", answer);
    for answer in ["alive", "gone", "alive"] {
        cluster.apply(&site(answer)).unwrap().success().unwrap();
        match answer {
            "alive" => described(&cluster, &["checks     1 of 1 are fine"], "http/shop"),
            _ => described(
                &cluster,
                &["checks     0 of 1 are fine", "http/shop fails, since"],
                "1 of 1",
            ),
        };
    }
}

#[test]
fn nginx_is_led_around_a_server_that_fails_and_back() {
    let cluster = with_agent(|node| node.tell(&["--active-checks", "enforce"]));
    let [one, two] = ["one", "two"].map(|answer| Backend::start(answer).unwrap());
    let node = &cluster.nodes[0];
    let documents = format!(
        "kind: VirtualHost\n\
         metadata: {{ name: shop }}\n\
         spec:\n  \
           server_names: [shop.test]\n  \
           listen: [{{ port: {}, address: 127.0.0.1 }}]\n  \
           locations: [{{ path: /, proxy: {{ upstream: shop }} }}]\n\
         ---\n\
         kind: Upstream\n\
         metadata: {{ name: shop }}\n\
         spec:\n  \
           health_check: {{ type: http, path: /up, interval: 1s, rises: 1, falls: 2 }}\n  \
           servers: [{{ address: \"{}\" }}, {{ address: \"{}\" }}]\n",
        node.http_port(),
        one.address(),
        two.address()
    );
    cluster.apply(&documents).unwrap().success().unwrap();
    // What some requests in a row are answered: nginx takes servers in turn.
    let answers = || -> BTreeSet<(u16, String)> {
        let asked = (0..12).map(|_| {
            let answer = node.http("shop.test", "/").get().unwrap();
            (answer.status, answer.text())
        });
        asked.collect()
    };
    let fine = |texts: &[&str]| texts.iter().map(|it| (200, (*it).to_owned())).collect();
    assert_eq!(answers(), fine(&["one", "two"]));
    let name = format!("Upstream/shop {}", two.address());

    two.fail(true);
    let down = format!("{name} fails, and is marked down in nginx");
    described(&cluster, &[&down], "");
    assert_eq!(answers(), fine(&["one"]));
    two.fail(false);
    described(&cluster, &["checks     2 of 2 are fine"], &name);
    assert_eq!(answers(), fine(&["one", "two"]));
}

//! What agents count, told to Prometheus by each and to the master.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use nxmesh_e2e::{Cluster, http::Target, node::Mode, port::Port, wait};

/// Has promtool look at metrics, if it is there.
fn assert_sound(text: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        let required = std::env::var("NXMESH_TEST_REQUIRE").unwrap_or_default();
        let required = required.split(',').any(|name| name == "promtool");
        assert!(!required, "promtool is required, but not there");
        eprintln!("skipped: there is no promtool");
        return;
    };
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let done = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr) + String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.is_empty(), "{said}{text}");
}

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line?.trim().parse().ok()
}

#[test]
fn figures_reach_prometheus_and_the_master() {
    let mut cluster = Cluster::start(0).unwrap();
    let admission = cluster.admission("node=n1").unwrap();
    let mut node = cluster.prepare_node("n1", Mode::Full, &admission).unwrap();
    let port = Port::take().unwrap();
    let listen = port.on_loopback().to_string();
    node.tell(&["--metrics-listen", &listen, "--metrics-interval", "200ms"]);
    node.start().unwrap();
    cluster.nodes.push(node);
    cluster.until_ready().unwrap();
    let node = &cluster.nodes[0];
    let documents = node.answering("shop", "shop.test", "hello");
    cluster.apply(&documents).unwrap().success().unwrap();
    for _ in 0..20 {
        node.http("shop.test", "/").get().unwrap();
    }

    let ask = |target: &Target| {
        let answer = target.get().unwrap();
        assert_eq!(answer.status, 200);
        answer.text()
    };
    let of_agent = Target::http(port.on_loopback(), "localhost", "/metrics");
    let responses = "nxmesh_nginx_responses_total{server_name=\"shop.test\",class=\"2xx\"}";
    let told = wait::until("the agent counts responses", || {
        let text = ask(&of_agent);
        Ok((value(&text, responses) == Some(20.0)).then_some(text))
    });
    assert_sound(&told.unwrap());

    let agent = cluster.agent(node).unwrap();
    let id = agent.id.as_str();
    let described = wait::until("the master is told", || {
        let said = cluster.ctl.run(&["describe", "agent", id])?.success()?;
        let good = ["20 2xx, 0 3xx", "applies    1 applied", " a second"]
            .iter()
            .all(|part| said.stdout.contains(part));
        Ok(good.then_some(said.stdout))
    });
    assert!(described.unwrap().contains("reloads "));
    let view = cluster.ctl.run(&["get", "agent", id, "-o", "json"]);
    let view = view.unwrap().json().unwrap();
    assert_eq!(view["metrics"]["responses_2xx"], 20);
    assert!(view["metrics"]["requests_per_minute"].is_u64(), "{view}");

    let of_master = Target::http(cluster.master.api(), "localhost", "/metrics");
    let told = wait::until("the master counts what agents add", || {
        let text = ask(&of_master);
        let requests = value(&text, "nxmesh_master_fleet_requests_total");
        Ok((requests > Some(0.0)).then_some(text))
    })
    .unwrap();
    assert_eq!(value(&told, "nxmesh_master_fleet_agents"), Some(1.0));
    assert!(!told.contains(id), "a series per agent: {told}");
    assert_sound(&told);
}

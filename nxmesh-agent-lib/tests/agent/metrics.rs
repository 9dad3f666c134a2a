//! What is told to Prometheus and to a statsd server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use nxmesh_agent_lib::{
    AgentOptions,
    testkit::{RealNginx, ScriptedMaster, free_port},
};
use nxmesh_core::{bundle::Slice, testkit::patience::PATIENCE, wire::ConfigPhase};

use crate::rig::{Rig, slice, unresolvable, version};

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Tells at `port`, and counts requests.
fn told_at(port: u16) -> impl FnOnce(&mut AgentOptions) {
    move |options| {
        options.metrics.listen = Some(local(port));
        options.apply.render.request_log = Some(options.apply.layout.request_log());
    }
}

/// The values by their names with labels, as Prometheus gets them.
async fn scrape(port: u16) -> (String, BTreeMap<String, f64>) {
    let (status, text) = RealNginx::ask(port, "localhost", "/metrics").await.unwrap();
    assert_eq!(status, 200, "{text}");
    let values = text.lines().filter(|line| !line.starts_with('#'));
    let values = values.map(|line| line.rsplit_once(' ').unwrap());
    let values = values.map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    let values = values.collect();
    (text, values)
}

/// Waits until a value is there.
async fn reads(port: u16, name: &str, expected: f64) -> BTreeMap<String, f64> {
    let begun = Instant::now();
    loop {
        let (text, values) = scrape(port).await;
        if values.get(name) == Some(&expected) {
            return values;
        }
        assert!(begun.elapsed() < PATIENCE, "no {name} {expected} in {text}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Has promtool look at the text, if it is there.
fn assert_sound(text: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        let required = std::env::var("NXMESH_TEST_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|name| name == "promtool"),
            "promtool is required, but not there"
        );
        eprintln!("skipped: there is no promtool");
        return;
    };
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let done = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr) + String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{text}");
    assert_eq!(said, "", "{text}");
}

/// A host that logs for itself, and one location that does not.
fn logging(port: u16, log: &std::path::Path) -> Slice {
    let log = log.display();
    slice(&format!(
        r#"
kind: VirtualHost
metadata: {{ name: site }}
spec:
  server_names: [site.example]
  listen: [{{ port: {port}, address: 127.0.0.1 }}]
  access_log: {{ to: {{ file: {log}, format: {{ custom: "{{request_uri}}" }} }} }}
  locations:
    - {{ path: /, respond: {{ status: 200, body: "hello", content_type: text/plain }} }}
    - {{ path: /silent, access_log: none, respond: {{ status: 404 }} }}
---
kind: VirtualHost
metadata: {{ name: plain }}
spec:
  server_names: [plain.example]
  listen: [{{ port: {port}, address: 127.0.0.1 }}]
  locations: [{{ path: /, respond: {{ status: 503 }} }}]
"#
    ))
}

#[tokio::test]
async fn prometheus_reads_what_happened() {
    let rig = Rig::new();
    let port = free_port();
    let log = rig.state_dir().join("own.log");
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport, told_at(port));
    master.desire(version(1), &logging(rig.port, &log));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    master.desire(version(2), &unresolvable(rig.port));
    let rejected = master.status(version(2), ConfigPhase::Rejected);
    rejected.await.unwrap();

    for (host, path, times) in [
        ("site.example", "/a", 5),
        ("site.example", "/silent", 3),
        ("plain.example", "/", 2),
    ] {
        for _ in 0..times {
            RealNginx::ask(rig.port, host, path).await.unwrap();
        }
    }
    let name = "nxmesh_agent_request_log_lines_total{result=\"counted\"}";
    let values = reads(port, name, 10.0).await;
    let is = |name: &str, expected: f64| {
        assert_eq!(values.get(name), Some(&expected), "{name} in {values:#?}");
    };
    let responses = |name, class| {
        format!("nxmesh_nginx_responses_total{{server_name=\"{name}\",class=\"{class}\"}}")
    };
    is(&responses("site.example", "2xx"), 5.0);
    is(&responses("site.example", "4xx"), 3.0);
    is(&responses("plain.example", "5xx"), 2.0);
    is(
        "nxmesh_nginx_response_duration_seconds_count{server_name=\"site.example\"}",
        8.0,
    );
    is(
        "nxmesh_agent_request_log_lines_total{result=\"unreadable\"}",
        0.0,
    );
    is("nxmesh_agent_applies_total{outcome=\"applied\"}", 1.0);
    is("nxmesh_agent_applies_total{outcome=\"rejected\"}", 1.0);
    is(
        "nxmesh_agent_apply_step_duration_seconds_count{step=\"reload\"}",
        1.0,
    );
    is("nxmesh_agent_nginx_starts_total", 1.0);
    is(
        "nxmesh_agent_nginx_reloads_total{result=\"confirmed\"}",
        1.0,
    );
    is("nxmesh_agent_connection_state{state=\"ready\"}", 1.0);
    is("nxmesh_agent_island_seconds", 0.0);
    is("nxmesh_agent_applied_revision", 1.0);
    is("nxmesh_agent_accepted_revision", 2.0);
    is("nxmesh_agent_apply_failed", 1.0);
    is("nxmesh_nginx_up", 1.0);
    is("nxmesh_nginx_stub_status_up", 1.0);
    // This one is being answered, perhaps beside another of the agent.
    assert!(values["nxmesh_nginx_connections{state=\"writing\"}"] >= 1.0);
    assert!(values["nxmesh_nginx_requests_total"] > 10.0, "{values:#?}");
    // What the host logs is what it logged before.
    let own = fs::read_to_string(&log).unwrap();
    assert_eq!(own, "/a\n".repeat(5));
    assert_sound(&scrape(port).await.0);

    assert_eq!(RealNginx::ask(port, "h", "/").await.unwrap().0, 404);
    agent.stop().await.unwrap();
    assert!(RealNginx::ask(port, "h", "/metrics").await.is_err());
}

#[tokio::test]
async fn an_agent_without_its_master_tells_for_how_long() {
    let rig = Rig::new();
    let port = free_port();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport, told_at(port));
    master.desire(version(1), &crate::rig::site(rig.port, "alive"));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    drop(master);
    let begun = Instant::now();
    let mut island = 0.0;
    while island <= 0.5 {
        assert!(begun.elapsed() < PATIENCE, "{island}");
        let (_, values) = scrape(port).await;
        let now = values["nxmesh_agent_island_seconds"];
        // It does not begin anew with each attempt.
        assert!(now >= island, "{now} after {island}");
        island = now;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_nginx_without_the_module_serves_and_is_told_of_without() {
    let rig = Rig::new();
    let port = free_port();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport, |options| {
        told_at(port)(options);
        let modules: BTreeSet<String> = ["http_ssl_module".to_owned()].into();
        options.apply.render.modules = Some(Arc::new(modules));
    });
    master.desire(version(1), &crate::rig::site(rig.port, "alive"));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    let (text, values) = scrape(port).await;
    assert_eq!(values.get("nxmesh_nginx_up"), Some(&1.0), "{text}");
    assert!(
        !text.contains("stub_status") && !text.contains("nxmesh_nginx_connections"),
        "{text}"
    );
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_holds_nothing_up() {
    let rig = Rig::new();
    let holder = TcpListener::bind(local(0)).unwrap();
    let port = holder.local_addr().unwrap().port();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport, told_at(port));
    master.desire(version(1), &crate::rig::site(rig.port, "alive"));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    assert_eq!(rig.get().await, (200, "alive".to_owned()));
    drop(holder);
    let begun = Instant::now();
    while RealNginx::ask(port, "h", "/metrics").await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "the port is not tried again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn clients_that_say_nothing_keep_nobody_out_for_long() {
    let rig = Rig::new();
    let port = free_port();
    let (_master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport, told_at(port));
    let begun = Instant::now();
    let mut silent = Vec::new();
    while silent.len() < 50 {
        match tokio::net::TcpStream::connect(local(port)).await {
            Ok(stream) => silent.push(stream),
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
    }
    // They are let go after ten seconds, eight at a time; those that left at once.
    silent.truncate(8);
    while RealNginx::ask(port, "h", "/metrics").await.is_err() {
        assert!(begun.elapsed() < PATIENCE);
    }
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_statsd_server_is_told_and_may_be_away() {
    let rig = Rig::new();
    let statsd = UdpSocket::bind(local(0)).unwrap();
    statsd.set_nonblocking(true).unwrap();
    let address = statsd.local_addr().unwrap();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport, |options| {
        options.metrics.statsd = Some(address.to_string());
        options.metrics.statsd_interval = Duration::from_millis(20);
        options.apply.render.request_log = Some(options.apply.layout.request_log());
    });
    master.desire(version(1), &crate::rig::site(rig.port, "alive"));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    for _ in 0..7 {
        rig.get().await;
    }
    let name = "nxmesh_nginx_responses_total.site_example.2xx:";
    let mut counted = 0;
    let mut gauges = BTreeSet::new();
    let mut packet = [0; 65_536];
    let begun = Instant::now();
    while counted < 7 || !gauges.contains("nxmesh_agent_applied_revision:1|g") {
        assert!(begun.elapsed() < PATIENCE, "{counted} {gauges:?}");
        let Ok(length) = statsd.recv(&mut packet) else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        assert!(length <= 1400, "{length}");
        for line in str::from_utf8(&packet[..length]).unwrap().lines() {
            if let Some(added) = line.strip_prefix(name) {
                counted += added.strip_suffix("|c").unwrap().parse::<u32>().unwrap();
            } else if line.ends_with("|g") {
                gauges.insert(line.to_owned());
            }
        }
    }
    assert_eq!(counted, 7);
    drop(statsd);
    master.desire(version(2), &crate::rig::site(rig.port, "still"));
    let applied = master.status(version(2), ConfigPhase::Applied);
    applied.await.unwrap();
    assert_eq!(rig.get().await, (200, "still".to_owned()));
    agent.stop().await.unwrap();
}

/// Whoever else is told or not.
#[tokio::test]
async fn the_master_is_told_figures() {
    let rig = Rig::new();
    let log = rig.state_dir().join("own.log");
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport, |options| {
        options.metrics.master_interval = Duration::from_millis(50);
        options.apply.render.request_log = Some(options.apply.layout.request_log());
    });
    master.desire(version(1), &logging(rig.port, &log));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    for (host, times) in [("site.example", 5), ("plain.example", 2)] {
        for _ in 0..times {
            RealNginx::ask(rig.port, host, "/").await.unwrap();
        }
    }
    let told = master.wait_for(|heard| {
        let figures = heard.metrics.last()?.figures();
        (figures.responses_5xx == Some(2)).then_some(figures)
    });
    let told = told.await.unwrap();
    assert_eq!(told.responses_2xx, Some(5));
    assert_eq!(told.responses_4xx, Some(0));
    assert_eq!(told.applies_applied, Some(1));
    assert_eq!(told.reloads_failed, Some(0));
    assert_eq!(told.starts, Some(1));
    assert!(
        told.workers > Some(0) && told.requests >= Some(7),
        "{told:?}"
    );
    agent.stop().await.unwrap();
}

//! An agent inside a program of your own.
//!
//! The program here has a job beside the agent (it counts requests to the
//! site), a master in memory and an nginx in a temporary folder. With a real
//! master leave `transport` out and say `master_url`, `master_ca` and a token.
//!
//! `cargo run -p nxmesh-examples --example embed_agent`

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nxmesh_agent_lib::{
    Agent, AgentOptions, BootstrapToken,
    apply::{ApplyOptions, Mode},
    nginx::{Enter, Layout},
    reload::{SignalOptions, SignalReloader},
    testkit::{RealNginx, ScriptedMaster, free_port, nginx_binary, stop_nginx_in},
};
use nxmesh_core::{bundle::Slice, document, model::Version, wire::ConfigPhase};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<()> {
    let Some(binary) = nginx_binary() else {
        println!("no nginx on this machine, nothing to show");
        return Ok(());
    };
    let folder = tempfile::Builder::new().prefix("nx").tempdir()?;
    let shown = show(binary, folder.path()).await;
    // The agent leaves nginx running, as it should; this program cleans up.
    stop_nginx_in(folder.path());
    shown
}

async fn show(binary: std::path::PathBuf, folder: &std::path::Path) -> Result<()> {
    // 1. Where files lie, and which nginx. `Mode::Full`: the whole nginx.conf
    //    is the agent's. `Mode::Include` leaves yours alone but for one line.
    let layout = Layout::new(folder.join("state"), folder.join("run"));
    let apply = ApplyOptions::new(layout.clone(), Mode::Full(layout.full_options()));
    let reloader = SignalReloader::new(SignalOptions {
        binary,
        conf: apply.nginx_conf(),
        prefix: None,
        pid_file: Some(layout.pid_file()),
        unix_sockets: vec![layout.probe_socket()],
        start_log: layout.start_log(),
        enter: Enter::NotNeeded,
    });

    // 2. The agent. Nothing runs yet.
    let (master, transport) = ScriptedMaster::start();
    let mut options = AgentOptions::new(apply);
    options.bootstrap_token = Some(BootstrapToken::new(ScriptedMaster::TOKEN));
    let agent = Agent::builder(options)
        .transport(transport)
        .reloader(reloader)
        .build()?;

    // 3. It runs as one task among yours, and ends when you say so.
    let mut status = agent.status();
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));

    let port = free_port();
    master.desire(version(1), &site(port, "hello")?);
    let ready = status.wait_for(|status| status.ready);
    tokio::time::timeout(Duration::from_secs(30), ready)
        .await
        .context("the agent was not ready in time")??;
    println!("ready: nginx was seen serving version {}", version(1));
    expect(port, "hello").await?;

    // 4. Changes arrive while the program does its own job.
    let own_job = tokio::spawn(async move {
        let (mut old, mut new) = (0, 0);
        while new == 0 {
            match RealNginx::ask(port, "hello.example", "/").await?.1.as_str() {
                "hello" => old += 1,
                "hello again" => new += 1,
                other => anyhow::bail!("neither the old nor the new answer: {other:?}"),
            }
        }
        Ok((old, new))
    });
    master.desire(version(2), &site(port, "hello again")?);
    let told = master.status(version(2), ConfigPhase::Applied).await?;
    let took: u64 = told.durations.iter().map(|step| step.microseconds).sum();
    expect(port, "hello again").await?;
    println!("version {} applied in {} ms:", version(2), took / 1000);
    for step in &told.durations {
        println!("  {:<8} {:>8} µs", step.step, step.microseconds);
    }
    let (old, new) = own_job.await??;
    println!("meanwhile {old} requests got the old answer, then {new} the new one, none failed");

    // 5. The end. nginx goes on serving.
    stop.cancel();
    running.await??;
    expect(port, "hello again").await?;
    println!("stopped; nginx still serves version {}", version(2));
    Ok(())
}

const fn version(revision: u64) -> Version {
    Version { epoch: 1, revision }
}

fn site(port: u16, answer: &str) -> Result<Slice> {
    let text = format!(
        r#"
kind: VirtualHost
metadata: {{ name: hello }}
spec:
  server_names: [hello.example]
  listen: [{{ address: 127.0.0.1, port: {port} }}]
  locations: [{{ path: /, respond: {{ status: 200, body: "{answer}" }} }}]
"#
    );
    let parsed = document::parse("hello.yaml", &text)
        .map_err(|problems| anyhow::anyhow!("{}", problems[0]))?;
    Ok(Slice::new(
        parsed.into_iter().map(|parsed| parsed.resource).collect(),
    ))
}

async fn expect(port: u16, answer: &str) -> Result<()> {
    let (status, body) = RealNginx::ask(port, "hello.example", "/").await?;
    ensure!(
        (status, body.as_str()) == (200, answer),
        "nginx answers {status} {body:?}"
    );
    println!("  nginx answers {body:?}");
    Ok(())
}

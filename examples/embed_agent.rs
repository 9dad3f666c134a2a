//! Agents inside a program of your own.
//!
//! The program here has a job beside its agents: it tells in its own words what
//! becomes of them, and counts requests to their sites. It runs two agents as
//! tasks of one runtime, each with an nginx in a temporary folder and a master
//! in memory. With a real master leave `transport` out and say `master_urls`,
//! `master_ca` and a token.
//!
//! `cargo run -p nxmesh-examples --example embed_agent`

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nxmesh_agent_lib::{
    Agent, AgentError, AgentOptions, AgentStatus, BootstrapToken,
    apply::{ApplyOptions, Mode},
    nginx::Layout,
    reload::SignalReloader,
    testkit::{RealNginx, ScriptedMaster, free_port, nginx_binary, stop_nginx_in},
};
use nxmesh_core::{bundle::Slice, document, model::Version, wire::ConfigPhase};
use tokio::{sync::watch, task::JoinHandle};
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

async fn show(binary: PathBuf, folder: &Path) -> Result<()> {
    // 1. Two agents: nothing is shared but the runtime. One token stops both.
    let stop = CancellationToken::new();
    let one = Site::start("one", &binary, &folder.join("1"), &stop)?;
    let two = Site::start("two", &binary, &folder.join("2"), &stop)?;

    // 2. Their status is yours to use: here, lines of this program.
    let told = tokio::spawn(tell([one.status.clone(), two.status.clone()]));
    one.master.desire(version(1), &one.says("hello")?);
    two.master.desire(version(1), &two.says("good day")?);
    one.until_ready().await?;
    two.until_ready().await?;
    one.expect("hello").await?;
    two.expect("good day").await?;

    // 3. Changes arrive while the program does its own job.
    let port = one.port;
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
    one.master.desire(version(2), &one.says("hello again")?);
    let applied = one.master.status(version(2), ConfigPhase::Applied).await?;
    let took: u64 = applied.durations.iter().map(|step| step.microseconds).sum();
    println!("version {} applied in {} ms:", version(2), took / 1000);
    for step in &applied.durations {
        println!("  {:<8} {:>8} µs", step.step, step.microseconds);
    }
    let (old, new) = own_job.await??;
    println!("meanwhile {old} requests got the old answer, then {new} the new one, none failed");

    // 4. What one is refused does not concern the other.
    two.master
        .desire(version(2), &two.site("203.0.113.7", "nowhere")?);
    let refused = two.master.status(version(2), ConfigPhase::Rejected).await;
    ensure!(refused.is_ok(), "an address of somebody else was taken");
    two.expect("good day").await?;
    one.expect("hello again").await?;

    // 5. The end. nginx goes on serving.
    stop.cancel();
    let (one, two) = (one.end().await?, two.end().await?);
    told.await?;
    for (port, answer) in [(one, "hello again"), (two, "good day")] {
        let (_, body) = RealNginx::ask(port, "hello.example", "/").await?;
        ensure!(body == answer, "after the end nginx answers {body:?}");
    }
    println!("stopped; both nginx still serve what they had");
    Ok(())
}

/// An agent, its master and its nginx.
struct Site {
    name: &'static str,
    port: u16,
    master: ScriptedMaster,
    status: watch::Receiver<AgentStatus>,
    running: JoinHandle<Result<(), AgentError>>,
}

impl Site {
    fn start(
        name: &'static str,
        binary: &Path,
        folder: &Path,
        stop: &CancellationToken,
    ) -> Result<Self> {
        // Where files lie, and which nginx. `Mode::Full`: the whole nginx.conf is the
        // agent's. `Mode::Include` leaves yours alone but for one line.
        let layout = Layout::new(folder.join("state"), folder.join("run"));
        let apply = ApplyOptions::new(layout.clone(), Mode::Full(layout.full_options()));
        let reloader = SignalReloader::new(apply.signal_options(binary));
        let (master, transport) = ScriptedMaster::start();
        let mut options = AgentOptions::new(apply);
        options.bootstrap_token = Some(BootstrapToken::new(ScriptedMaster::TOKEN));
        let agent = Agent::builder(options)
            .transport(transport)
            .reloader(reloader)
            .build()?;
        // Nothing runs yet. The agent is one task among yours, and ends when you say so.
        Ok(Self {
            name,
            port: free_port(),
            master,
            status: agent.status(),
            running: tokio::spawn(agent.run(stop.clone())),
        })
    }

    async fn until_ready(&self) -> Result<()> {
        let mut status = self.status.clone();
        let ready = status.wait_for(|status| status.ready);
        tokio::time::timeout(Duration::from_secs(30), ready)
            .await
            .with_context(|| format!("agent {} was not ready in time", self.name))??;
        Ok(())
    }

    fn says(&self, answer: &str) -> Result<Slice> {
        self.site("127.0.0.1", answer)
    }

    fn site(&self, address: &str, answer: &str) -> Result<Slice> {
        let text = format!(
            r#"
kind: VirtualHost
metadata: {{ name: hello }}
spec:
  server_names: [hello.example]
  listen: [{{ address: {address}, port: {} }}]
  locations: [{{ path: /, respond: {{ status: 200, body: "{answer}" }} }}]
"#,
            self.port
        );
        let parsed = document::parse("hello.yaml", &text)
            .map_err(|problems| anyhow::anyhow!("{}", problems[0]))?;
        Ok(Slice::new(
            parsed.into_iter().map(|parsed| parsed.resource).collect(),
        ))
    }

    async fn expect(&self, answer: &str) -> Result<()> {
        let (status, body) = RealNginx::ask(self.port, "hello.example", "/").await?;
        ensure!(
            (status, body.as_str()) == (200, answer),
            "nginx of {} answers {status} {body:?}",
            self.name
        );
        println!("  nginx of {} answers {body:?}", self.name);
        Ok(())
    }

    /// Waits for the agent's end; the port its nginx goes on serving.
    async fn end(self) -> Result<u16> {
        self.running.await??;
        Ok(self.port)
    }
}

/// Prints what changes in either status, until both agents are gone.
async fn tell([mut one, mut two]: [watch::Receiver<AgentStatus>; 2]) {
    let mut said = [String::new(), String::new()];
    let mut say = |index: usize, name: &str, status: &AgentStatus| {
        let serves = match status.applied {
            Some(version) => format!("serves {version}"),
            None => "serves nothing yet".to_owned(),
        };
        let failed = match &status.failure {
            Some(failure) => format!(", refused {}: {}", failure.version, failure.code),
            None => String::new(),
        };
        let line = format!("agent {name}: {serves}{failed}");
        if said[index] != line {
            println!("{line}");
            said[index] = line;
        }
    };
    loop {
        tokio::select! {
            Ok(()) = one.changed() => say(0, "one", &one.borrow_and_update()),
            Ok(()) = two.changed() => say(1, "two", &two.borrow_and_update()),
            else => return,
        }
    }
}

const fn version(revision: u64) -> Version {
    Version { epoch: 1, revision }
}

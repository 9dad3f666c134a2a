//! What an agent takes from the machine it runs on, beside its budget.
//!
//! The agent, its master and its nginx are real processes; nginx serves a hundred virtual hosts.
//!
//! `cargo xtask bench footprint [APPLIES]`

use std::fs;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nxmesh_e2e::node::Node;
use nxmesh_e2e::{Cluster, wait};

const VIRTUAL_HOSTS: usize = 100;
/// How long an idle agent is watched.
const IDLE: Duration = Duration::from_secs(60);
/// An agent that was restarted so often tells how fast it starts.
const STARTS: usize = 15;

fn main() -> Result<()> {
    // cargo adds `--bench`.
    let applies = std::env::args().skip(1).find_map(|it| it.parse().ok());
    let applies: u32 = applies.unwrap_or(1_000);
    let mut cluster = Cluster::start(1)?;
    cluster.apply(&hosts(&cluster.nodes[0]))?.success()?;
    println!("an agent with {VIRTUAL_HOSTS} virtual hosts\nfigure | budget | ok/over");

    let size = fs::metadata(&cluster.programs().agent)?.len();
    say("stripped program", size as f64 / 1e6, 15.0, "MB");

    // What the apply took is given back or not; that is part of the figure.
    let agent = cluster.nodes[0].process()?.pid();
    thread::sleep(Duration::from_secs(5));
    let before = ticks(agent)?;
    thread::sleep(IDLE);
    let worked = (ticks(agent)? - before) as f64 / ticks_per_second()?;
    say("memory, idle", mebibytes(agent)?, 10.0, "MiB");
    let share = worked / IDLE.as_secs_f64() * 100.0;
    say("processor, idle", share, 0.1, "% of a core");

    starts(&mut cluster)?;
    grows(&mut cluster, applies)
}

/// From its cache, the master away and nginx down.
fn starts(cluster: &mut Cluster) -> Result<()> {
    cluster.master.stop()?;
    let (mut answers, mut serves) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let node = &mut cluster.nodes[0];
        node.stop()?;
        node.kill_nginx()?;
        let started = Instant::now();
        node.start()?;
        let answered = until(started, || told(node).is_ok())?;
        let ready = || told(node).is_ok_and(|status| status["ready"] == true);
        let served = until(started, ready)?;
        let target = node.http("h7.test", "/");
        ensure!(
            target.get().is_ok_and(|it| it.status == 200),
            "it does not serve"
        );
        answers.push(answered);
        serves.push(served);
    }
    say(
        "ready to be asked after its start, median",
        median(answers),
        20.0,
        "ms",
    );
    say(
        "start to confirmed serving from cache, median",
        median(serves),
        300.0,
        "ms",
    );
    cluster.master.run()
}

/// What the agent says of itself. The program that people ask with would take time from it.
fn told(node: &Node) -> Result<serde_json::Value> {
    let mut agent = UnixStream::connect(node.state_dir().join("agent.sock"))?;
    let mut status = String::new();
    agent.read_to_string(&mut status)?;
    Ok(serde_json::from_str(&status)?)
}

fn until(started: Instant, holds: impl Fn() -> bool) -> Result<f64> {
    while !holds() {
        ensure!(
            started.elapsed() < wait::PATIENCE,
            "the agent does not come"
        );
        thread::sleep(Duration::from_micros(500));
    }
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

/// Memory over many applies.
fn grows(cluster: &mut Cluster, applies: u32) -> Result<()> {
    let agent = cluster.nodes[0].process()?.pid();
    let token = cluster.master.token()?;
    let mut early = 0.0;
    for number in 1..=applies {
        let text = format!("change {number}");
        let documents = cluster.nodes[0].answering("h0", "h0.test", &text);
        let response = cluster.master.post_apply(&token, &documents)?;
        ensure!(response.status == 200, "apply: {}", response.text());
        wait::until("nginx serves the change", || {
            let served = cluster.nodes[0].http("h0.test", "/").get();
            Ok(served.is_ok_and(|it| it.text() == text).then_some(()))
        })?;
        if number == applies.div_ceil(10) {
            early = mebibytes(agent)?;
        }
    }
    let late = mebibytes(agent)?;
    say(
        &format!("memory after {applies} applies, beside {early:.1} MiB after a tenth of them"),
        late,
        early * 1.1,
        "MiB",
    );
    Ok(())
}

fn say(what: &str, figure: f64, budget: f64, unit: &str) {
    let verdict = if figure <= budget { "ok" } else { "OVER" };
    println!("{what}: {figure:.2} {unit} | ≤ {budget:.1} {unit} | {verdict}");
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn mebibytes(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.context("Linux tells no VmRSS")?.trim().parse()?;
    Ok(kib / 1024.0)
}

/// Processor time of a process, in ticks.
fn ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').context("no fields")?.1;
    let field = |number: usize| -> Result<u64> {
        let field = fields.split_whitespace().nth(number);
        Ok(field.context("too few fields")?.parse()?)
    };
    // utime and stime, numbers 14 and 15 of proc(5).
    Ok(field(11)? + field(12)?)
}

fn ticks_per_second() -> Result<f64> {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?;
    Ok(ticks.context("Linux tells no ticks")? as f64)
}

fn hosts(node: &Node) -> String {
    (0..VIRTUAL_HOSTS)
        .map(|number| {
            let (name, host) = (format!("h{number}"), format!("h{number}.test"));
            node.answering(&name, &host, "quiet")
        })
        .collect()
}

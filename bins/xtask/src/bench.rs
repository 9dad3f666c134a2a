//! Runs benchmarks with the programs they measure and what they compare against.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::{services, workspace};

/// The benchmarks that start the programs, and not only call the libraries.
const OF_PROGRAMS: [&str; 4] = ["apply", "footprint", "hostile", "reloads"];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Name of a benchmark, for example render; all if left out
    name: Option<String>,
    /// Handed to the benchmark
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let name = options.name.as_deref();
    if name.is_none_or(|name| name == "render") {
        ensure_jinja2();
    }
    if name.is_none_or(|name| OF_PROGRAMS.contains(&name)) {
        build_programs()?;
    }
    let mut command = workspace::cargo()?;
    command.args(["bench", "--package", "nxmesh-benches"]);
    if let Some(name) = name {
        command.args(["--bench", name, "--"]);
        command.args(&options.arguments);
    }
    workspace::run(&mut command)
}

/// As the README does.
fn build_programs() -> Result<()> {
    for build in [
        ["--release", "--workspace", "--bins"].as_slice(),
        &["--profile", "agent", "--package", "nxmesh-agent"],
    ] {
        workspace::run(workspace::cargo()?.arg("build").args(build))?;
    }
    Ok(())
}

/// Only compared against: without it the benchmark says so and goes on.
fn ensure_jinja2() {
    let there = Command::new("python3")
        .args(["-c", "import jinja2"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if there || !services::may_install() {
        return;
    }
    if let Err(error) = services::install(&["python3-jinja2"]) {
        eprintln!("warning: {error:#}");
    }
}

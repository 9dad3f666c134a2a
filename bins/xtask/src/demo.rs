//! Starts everything on this machine and proves that it works.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{services, workspace};

/// What the demonstration is made of; the last is the one that is run.
const PACKAGES: [&str; 4] = ["nxmesh-master", "nxmesh-agent", "nxmeshctl", "nxmesh-e2e"];
const PROGRAM: &str = "nxmesh-demo";

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Handed to the demonstration; --help tells what it takes
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    arguments: Vec<String>,
}

/// Becomes the demonstration, so that signals reach it and its exit code is ours.
pub(crate) fn run(options: &Options) -> Result<()> {
    services::ensure_c_compiler()?;
    services::ensure(&["nginx"])?;
    let mut build = workspace::cargo()?;
    build.args(["build", "--bins"]);
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    workspace::run(&mut build)?;
    // cargo puts all programs of a profile into one folder.
    let own = std::env::current_exe().context("could not tell where this program is")?;
    let program = own.with_file_name(PROGRAM);
    let error = Command::new(&program).args(&options.arguments).exec();
    Err(error).with_context(|| format!("could not start {}", program.display()))
}

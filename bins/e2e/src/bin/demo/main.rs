//! Shows on this machine what NxMesh does: one master, agents, and a real nginx beside each of them.
//!
//! Every claim is checked by requests to nginx. `cargo xtask demo` builds what is needed and runs this.

mod progress;
mod site;
mod steps;

use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};
use clap::Parser;
use nxmesh_e2e::sandbox::Sandbox;
use tokio::signal::unix::{SignalKind, signal};

use crate::progress::Progress;

/// Starts a master and agents on this machine and proves what they do, then stays up to be tried.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask demo", bin_name = "cargo xtask demo")]
struct Options {
    /// End after the proof: with 0, or with 1 if any of it failed
    #[arg(long)]
    once: bool,
    /// How many agents to start, each with an nginx of its own
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=20))]
    agents: u8,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let progress = Progress::on_standard_output();
    let outcome = Sandbox::new().and_then(|sandbox| {
        stop_on_signal(&sandbox, &progress)?;
        let outcome = steps::run(&sandbox, &progress, &options);
        progress.end();
        // Also after a failure; what is left behind is a failure too.
        let closed = sandbox.close();
        outcome.and(closed)
    });
    match outcome {
        Ok(()) => {
            println!("\nall of it was so; nothing is left behind");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// From here on SIGINT, SIGTERM and SIGHUP end every process and remove every file before this
/// program ends.
fn stop_on_signal(sandbox: &Sandbox, progress: &Progress) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start a runtime")?;
    let entered = runtime.enter();
    let interrupt = signal(SignalKind::interrupt());
    let terminate = signal(SignalKind::terminate());
    let hang_up = signal(SignalKind::hangup());
    drop(entered);
    let refused = "could not listen for signals";
    let (mut interrupt, mut terminate) = (interrupt.context(refused)?, terminate.context(refused)?);
    let mut hang_up = hang_up.context(refused)?;
    let (sandbox, progress) = (sandbox.clone(), progress.clone());
    thread::spawn(move || {
        let code = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
                _ = hang_up.recv() => 129,
            }
        });
        // Whatever the steps say from now on only tells that their processes went away.
        let finished = progress.silence();
        println!("stopping");
        if let Err(error) = sandbox.close() {
            eprintln!("error: {error:#}");
            std::process::exit(1);
        }
        // Ctrl-C is how one leaves once everything was shown.
        std::process::exit(if finished && code == 130 { 0 } else { code });
    });
    Ok(())
}

//! The stock NxMesh agent.

mod compose;
mod health;
mod options;
mod proxy;
mod reloaders;
mod status;
mod tuning;
mod values;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use clap::CommandFactory as _;
use nxmesh_agent_lib::{
    AgentError, AgentStatus, ConnectionState, StatusError,
    apply::{self, PipelineError},
};
use nxmesh_core::contract::clock::{Clock as _, SystemClock};
use nxmesh_process::{
    config,
    exit::{self, Exit, OrExit as _},
    logging, service, signals,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use compose::Parts;
use options::{Cli, Command, ConfigAction, Output, Settings};

/// How long a soft stop may take: a reload, its confirmation and both again for
/// the way back.
const STOP_LIMIT: Duration = Duration::from_secs(80);
/// How long nginx's container may take to start after the agent's.
const SIDECAR_PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    exit::report(start(exit::parse()))
}

fn start(cli: Cli) -> Result<()> {
    config::check_environment(&Cli::command()).or_exit(Exit::Usage)?;
    match cli.command {
        None => with_runtime(run(cli.layered.resolve()?)),
        Some(Command::Run(layered)) => with_runtime(run(layered.resolve()?)),
        Some(Command::Status { output, layered }) => {
            with_runtime(show_status(output, layered.resolve()?))
        }
        Some(Command::Adopt(layered)) => with_runtime(adopt(layered.resolve()?)),
        Some(Command::Release(layered)) => with_runtime(release(layered.resolve()?)),
        Some(Command::Config { action, layered }) => {
            with_runtime(show_settings(action, layered.resolve()?))
        }
    }
}

fn with_runtime(work: impl Future<Output = Result<()>>) -> Result<()> {
    // What takes long is done on threads of its own; handing the rest to and fro
    // between more would take longer than doing it.
    tokio::runtime::Builder::new_current_thread()
        .on_thread_start(give_way)
        .enable_all()
        .build()
        .context("could not start the runtime")?
        .block_on(work)
}

/// What is done on threads of its own is work on files and the parsing of what
/// the master sends. It gives way to nginx, in every state: serving, reloading,
/// and started for a check, as a process inherits from the thread that starts
/// it, which is the first.
fn give_way() {
    const NICER: i32 = 10;
    // All of it works as well without.
    rustix::process::nice(NICER).ok();
}

async fn run(settings: Settings) -> Result<()> {
    logging::install(&settings.log)?;
    let stop = CancellationToken::new();
    signals::stop_softly(&stop, STOP_LIMIT)?;
    service::keep_alive();
    let agent = compose::compose(&settings, SIDECAR_PATIENCE).await?;
    tokio::spawn(tell_readiness(agent.status()));
    agent.run(stop).await.or_else(|error| {
        let exit = exit_of(&error);
        Err(error).or_exit(exit)
    })
}

/// Ready means proven: nginx was seen serving a version, or the master admitted the agent.
async fn tell_readiness(mut status: watch::Receiver<AgentStatus>) {
    let is_ready =
        |status: &AgentStatus| status.ready || status.connection.state == ConnectionState::Ready;
    if status.wait_for(is_ready).await.is_ok() {
        service::ready();
    }
}

fn exit_of(error: &AgentError) -> Exit {
    match error {
        AgentError::NotEnrolled | AgentError::NoMasterUrl | AgentError::NoMasterCa => Exit::Usage,
        AgentError::EnrolmentRefused { .. } => Exit::NotAuthenticated,
        AgentError::Pipeline(PipelineError::Locked { .. }) => Exit::Conflict,
        AgentError::Trust(_) | AgentError::Transport(_) => Exit::Invalid,
        _ => Exit::Failure,
    }
}

async fn show_status(output: Output, settings: Settings) -> Result<()> {
    let state_dir = settings.state_dir()?;
    let status = match AgentStatus::of_running(&state_dir).await {
        Ok(status) => status,
        Err(error @ StatusError::NotRunning { .. }) => return Err(error).or_exit(Exit::NotFound),
        Err(error) => return Err(error).or_exit(Exit::Unreachable),
    };
    match output {
        Output::Text => say(&status::text(&status, SystemClock.unix_millis())),
        Output::Json => say(&format!("{}\n", serde_json::to_string(&status)?)),
    }
}

async fn adopt(settings: Settings) -> Result<()> {
    let Parts { apply, reloader } = compose::parts(&settings, Duration::ZERO).await?;
    let adopted = apply::adopt(&apply, &*reloader, apply.check_deadline)
        .await
        .or_exit(Exit::Invalid)?;
    let (line, file) = (&adopted.line, adopted.nginx_conf.display());
    say(&match adopted.changed {
        true => format!("added to {file}: {line}\n"),
        false => format!("{file} has the line already: {line}\n"),
    })
}

async fn release(settings: Settings) -> Result<()> {
    let Parts { apply, reloader } = compose::parts(&settings, Duration::ZERO).await?;
    let released = apply::release(&apply, &*reloader, apply.check_deadline)
        .await
        .or_exit(Exit::Invalid)?;
    let (line, file) = (&released.line, released.nginx_conf.display());
    say(&match released.changed {
        true => format!(
            "removed from {file}: {line}\nnginx serves what it had until it is reloaded: `nginx -s reload`\n"
        ),
        false => format!("{file} does not have the line: {line}\n"),
    })
}

async fn show_settings(action: ConfigAction, settings: Settings) -> Result<()> {
    match action {
        ConfigAction::Check => {
            compose::compose(&settings, Duration::ZERO).await?;
            say("the settings are fine\n")
        }
        ConfigAction::Print => say(&config::to_toml(&settings)?),
    }
}

fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| anyhow!(error).context("could not write to standard output"))
}

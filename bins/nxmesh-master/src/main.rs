//! The stock NxMesh master.

mod compose;
mod key_lifetime;
mod options;
mod tuning;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow};
use clap::CommandFactory as _;
use nxmesh_master_lib::{
    DataDir, InitError,
    succession::{self, SuccessionError},
};
use nxmesh_process::{
    config,
    exit::{self, Exit, OrExit as _},
    logging, service, signals,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use options::{CaAction, Cli, Command, ConfigAction, InitArguments, Settings};

/// How long a soft stop may take; longer than the master needs to drain and to store.
const STOP_LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    exit::report(start(exit::parse()))
}

fn start(cli: Cli) -> Result<()> {
    config::check_environment(&Cli::command()).or_exit(Exit::Usage)?;
    match cli.command {
        None => with_runtime(run(cli.layered.resolve()?)),
        Some(Command::Run(layered)) => with_runtime(run(layered.resolve()?)),
        Some(Command::Init(arguments)) => {
            let settings = arguments.layered.clone().resolve()?;
            with_runtime(init(settings, arguments))
        }
        Some(Command::Ca { action, layered }) => succeed(action, &layered.resolve()?),
        Some(Command::Config { action, layered }) => show(action, &layered.resolve()?),
    }
}

fn with_runtime(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?
        .block_on(work)
}

async fn run(settings: Settings) -> Result<()> {
    logging::install(&settings.log)?;
    let stop = CancellationToken::new();
    signals::stop_softly(&stop, STOP_LIMIT)?;
    let composed = compose::compose(&settings).await?;
    let master = composed.builder.build().await?;
    let addresses = master.addresses();
    // Scripts read these lines; they are whole before anything else happens.
    say(&format!(
        "api listening on {}\nagents connect to {}\n",
        addresses.api_url, addresses.agent_url
    ))?;
    info!(api = %addresses.api, agents = %addresses.agents, "listening");
    if !master.is_initialised() {
        warn!(
            "nobody can log in yet; stop this master and run: nxmesh-master init \
             --data-dir DIR --admin-user NAME --admin-password-file FILE"
        );
    }
    service::ready();
    let outcome = master.run(stop).await;
    composed.storage.close().await?;
    Ok(outcome?)
}

async fn init(settings: Settings, arguments: InitArguments) -> Result<()> {
    logging::install(&settings.log)?;
    let password = arguments.password()?;
    let composed = compose::compose(&settings).await?;
    let made = composed.builder.init(arguments.admin_user, password).await;
    composed.storage.close().await?;
    match made {
        Ok(()) => say("initialised; start the master with: nxmesh-master run\n"),
        Err(error @ InitError::AlreadyInitialised) => Err(error).or_exit(Exit::Conflict),
        Err(error @ InitError::Password(_)) => Err(error).or_exit(Exit::Invalid),
        Err(error) => Err(error.into()),
    }
}

fn succeed(action: CaAction, settings: &Settings) -> Result<()> {
    let data = DataDir::open(settings.data_dir()?).or_exit(Exit::Conflict)?;
    let done = match action {
        CaAction::Prepare => succession::prepare(&data, SystemTime::now()).map(|made| match made {
            true => "a successor of the CA is made: start the master, and promote it once the agents were connected\n",
            false => "there is a successor of the CA already; nothing was changed\n",
        }),
        CaAction::Promote => succession::promote(&data)
            .map(|()| "the successor is the CA now: start the master; ca.pem is another\n"),
    };
    match done {
        Ok(said) => say(said),
        Err(error @ (SuccessionError::NoAuthority | SuccessionError::NotPrepared)) => {
            Err(error).or_exit(Exit::Conflict)
        }
        Err(error) => Err(error.into()),
    }
}

fn show(action: ConfigAction, settings: &Settings) -> Result<()> {
    compose::check(settings)?;
    match action {
        ConfigAction::Check => say("the settings are fine\n"),
        ConfigAction::Print => say(&config::to_toml(settings)?),
    }
}

fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| anyhow!(error).context("could not write to standard output"))
}

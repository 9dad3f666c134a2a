//! The command line, and the settings behind it.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Result, anyhow};
use clap::{Args, Parser, Subcommand};
use nxmesh_core::{
    model::value::{Time, UserName},
    snippet::SnippetPolicy,
};
use nxmesh_process::{
    config::{self, Secret},
    exit::{Exit, OrExit as _},
    logging::LogOptions,
};
use serde::{Deserialize, Serialize};

use crate::{key_lifetime::KeyLifetime, tuning::FleetSettings};

/// The NxMesh master: keeps the desired state of a fleet of nginx and brings it to the agents
///
/// The CA that agents and clients trust is DIR/ca.pem. The API listens on plain HTTP only on a
/// loopback address, else on TLS.
#[derive(Debug, Parser)]
#[command(
    name = "nxmesh-master",
    version,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) layered: Layered,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until stopped; the default
    Run(Layered),
    /// Make the first start without serving: keys, CA and the administrator
    Init(InitArguments),
    /// Change the authority that agents trust, without losing one; the master has to be stopped
    ///
    /// First prepare, and run the master until its agents were connected once: they are told to
    /// trust the successor too. Then promote, and run the master again. An agent that was away all
    /// the time still finds back: the old authority vouches for the new one.
    Ca {
        action: CaAction,
        #[command(flatten)]
        layered: Layered,
    },
    /// Look at the settings without using them
    Config {
        action: ConfigAction,
        #[command(flatten)]
        layered: Layered,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum ConfigAction {
    /// Say whether they can be used
    Check,
    /// Print them in the form of the settings file, without secrets
    Print,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum CaAction {
    /// Make a successor, which agents are told from the next start on
    Prepare,
    /// Put the successor in the authority's place; the old key is gone then
    Promote,
}

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Name of the administrator
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub(crate) admin_user: UserName,
    /// File with the administrator's password, or `-` for standard input
    #[arg(long, env = "NXMESH_ADMIN_PASSWORD_FILE", value_name = "FILE")]
    admin_password_file: PathBuf,
    #[command(flatten)]
    pub(crate) layered: Layered,
}

impl InitArguments {
    pub(crate) fn password(&self) -> Result<secrecy::SecretString> {
        let secret = Secret::from_file(&self.admin_password_file).or_exit(Exit::Invalid)?;
        Ok(secret.expose().into())
    }
}

/// Settings from the command line, the environment and a file.
#[derive(Debug, Clone, Args)]
pub(crate) struct Layered {
    /// TOML file with the same settings, the dashes as underscores
    #[arg(long, env = "NXMESH_MASTER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Layered {
    pub(crate) fn resolve(self) -> Result<Settings> {
        config::layered(self.settings, self.config.as_deref()).or_exit(Exit::Invalid)
    }
}

#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Folder for keys, certificates and the database
    #[arg(long, env = "NXMESH_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where people and tools connect; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "NXMESH_API_LISTEN", value_name = "ADDRESS")]
    pub(crate) api_listen: Option<SocketAddr>,
    /// Where agents connect; port 0 takes a free one [default: 0.0.0.0:8443]
    #[arg(long, env = "NXMESH_AGENT_LISTEN", value_name = "ADDRESS")]
    pub(crate) agent_listen: Option<SocketAddr>,
    /// Host name or address under which this master is reached, for its certificate; the first is
    /// what agents are told [default: the host's name]
    #[arg(
        long,
        env = "NXMESH_AGENT_SERVER_NAME",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) agent_server_name: Option<Vec<String>>,
    /// Database [default: SQLite in the data folder]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<Secret>,
    /// Redis for several masters
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) redis_url: Option<Secret>,
    /// Age at which an agent's key is changed, 1s to 3650d; up to a tenth sooner, so that not all
    /// are changed at once; 0 or off: never [default: 90d]
    #[arg(long, env = "NXMESH_KEY_LIFETIME", value_name = "TIME")]
    pub(crate) key_lifetime: Option<KeyLifetime>,
    #[command(flatten)]
    pub(crate) log: LogOptions,
    /// How long open requests may take to finish once the master stops [default: 10s]
    #[arg(long, env = "NXMESH_DRAIN_TIMEOUT", value_name = "TIME")]
    pub(crate) drain_timeout: Option<Time>,
    /// How agents are led; in the settings file only
    #[arg(skip)]
    pub(crate) fleet: Option<FleetSettings>,
    /// What snippets may say beside the built-in rules; in the settings file only
    #[arg(skip)]
    pub(crate) snippets: Option<SnippetPolicy>,
}

nxmesh_process::overlay!(Settings {
    data_dir,
    api_listen,
    agent_listen,
    agent_server_name,
    database_url,
    redis_url,
    key_lifetime,
    log,
    drain_timeout,
    fleet,
    snippets,
});

impl Settings {
    pub(crate) fn data_dir(&self) -> Result<&PathBuf> {
        self.data_dir
            .as_ref()
            .ok_or_else(|| anyhow!("no data folder: give --data-dir DIR or NXMESH_DATA_DIR"))
            .or_exit(Exit::Usage)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_readme_names_every_flag() {
        let readme = include_str!("../../../README.md");
        let untold = nxmesh_process::config::untold_flags(&Cli::command(), readme);
        assert!(untold.is_empty(), "{untold:?}");
    }

    #[test]
    fn run_is_the_default() {
        let plain = Cli::try_parse_from(["nxmesh-master", "--data-dir", "/d"]).unwrap();
        assert!(plain.command.is_none());
        assert_eq!(plain.layered.resolve().unwrap().data_dir, Some("/d".into()));
        let named = Cli::try_parse_from(["nxmesh-master", "run", "--data-dir", "/d"]).unwrap();
        let Some(Command::Run(layered)) = named.command else {
            panic!("not run: {named:?}");
        };
        assert_eq!(layered.resolve().unwrap().data_dir, Some("/d".into()));
    }
}

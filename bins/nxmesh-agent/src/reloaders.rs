//! Settings of the ways to reload nginx, and what becomes of them.

use anyhow::{Result, anyhow};
use clap::Args;
use nxmesh_agent_lib::{
    AgentBuilder,
    reload::{CommandOptions, CommandReloader, SignalOptions, SignalReloader},
};
use nxmesh_process::exit::{Exit, OrExit as _};
use serde::{Deserialize, Serialize};

use crate::{
    options::Settings,
    values::{ReloaderChoice, Words},
};

/// Commands of the `command` reloader; in a file the table `[command]`.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CommandSettings {
    /// With `--reloader command`: what checks the configuration {conf} with the prefix {prefix}
    /// [default: nginx -t]
    #[arg(
        id = "check_command",
        long = "check-command",
        env = "NXMESH_CHECK_COMMAND",
        value_name = "WORDS"
    )]
    check: Option<Words>,
    /// With `--reloader command`: what has nginx reload [default: SIGHUP]
    #[arg(
        id = "reload_command",
        long = "reload-command",
        env = "NXMESH_RELOAD_COMMAND",
        value_name = "WORDS"
    )]
    reload: Option<Words>,
    /// With `--reloader command`: what starts nginx [default: nginx itself]
    #[arg(
        id = "start_command",
        long = "start-command",
        env = "NXMESH_START_COMMAND",
        value_name = "WORDS"
    )]
    start: Option<Words>,
}

nxmesh_process::overlay!(CommandSettings {
    check,
    reload,
    start
});

impl CommandSettings {
    fn is_empty(&self) -> bool {
        self.check.is_none() && self.reload.is_none() && self.start.is_none()
    }
}

/// Gives the agent the reloader that the settings choose, if all is there that it needs.
pub(crate) async fn attach(
    builder: AgentBuilder,
    settings: &Settings,
    nginx: SignalOptions,
) -> Result<AgentBuilder> {
    let choice = settings.reloader.unwrap_or(ReloaderChoice::Signal);
    let command = settings.command.clone();
    if choice != ReloaderChoice::Command && !command.is_empty() {
        return Err(anyhow!(
            "commands to check, reload and start are for --reloader command; it is {choice}"
        ))
        .or_exit(Exit::Usage);
    }
    match choice {
        ReloaderChoice::Signal => {
            let reloader = SignalReloader::new(nginx);
            reloader.verify().await.or_exit(Exit::Invalid)?;
            Ok(builder.reloader(reloader))
        }
        ReloaderChoice::Command => {
            let words = |words: Option<Words>| words.map(|words| words.0);
            let reloader = CommandReloader::new(CommandOptions {
                nginx,
                check: words(command.check),
                reload: words(command.reload),
                start: words(command.start),
            });
            reloader.verify().await.or_exit(Exit::Invalid)?;
            Ok(builder.reloader(reloader))
        }
    }
}

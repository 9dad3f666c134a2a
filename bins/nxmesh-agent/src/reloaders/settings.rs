//! The settings of each way to reload nginx.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
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
    pub(super) check: Option<Words>,
    /// With `--reloader command`: what has nginx reload [default: SIGHUP]
    #[arg(
        id = "reload_command",
        long = "reload-command",
        env = "NXMESH_RELOAD_COMMAND",
        value_name = "WORDS"
    )]
    pub(super) reload: Option<Words>,
    /// With `--reloader command`: what starts nginx [default: nginx itself]
    #[arg(
        id = "start_command",
        long = "start-command",
        env = "NXMESH_START_COMMAND",
        value_name = "WORDS"
    )]
    pub(super) start: Option<Words>,
}

nxmesh_process::overlay!(CommandSettings {
    check,
    reload,
    start
});

/// The unit of the `systemd` reloader; in a file the table `[systemd]`.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SystemdSettings {
    /// With `--reloader systemd`: nginx's unit [default: nginx.service]
    #[arg(
        id = "systemd_unit",
        long = "systemd-unit",
        env = "NXMESH_SYSTEMD_UNIT",
        value_name = "UNIT"
    )]
    pub(super) unit: Option<String>,
    /// With `--reloader systemd`: how it is reloaded [default: signal]
    #[arg(
        id = "systemd_reload",
        long = "systemd-reload",
        env = "NXMESH_SYSTEMD_RELOAD",
        value_enum,
        value_name = "HOW"
    )]
    pub(super) reload: Option<ReloadOfUnit>,
    /// With `--reloader systemd`: the D-Bus address of systemd's bus
    /// [default: unix:path=/run/dbus/system_bus_socket]
    #[arg(
        id = "systemd_bus",
        long = "systemd-bus",
        env = "NXMESH_SYSTEMD_BUS",
        value_name = "ADDRESS"
    )]
    pub(super) bus: Option<String>,
}

nxmesh_process::overlay!(SystemdSettings { unit, reload, bus });

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReloadOfUnit {
    /// SIGHUP to its main process
    Signal,
    /// Its own ExecReload=
    Unit,
}

/// The container of the `container` reloader; in a file the table `[container]`.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ContainerSettings {
    /// With `--reloader container`: the name or id of nginx's container
    #[arg(
        id = "container",
        long = "container",
        env = "NXMESH_CONTAINER",
        value_name = "NAME"
    )]
    pub(super) name: Option<String>,
    /// With `--reloader container`: the engine's socket [default: /var/run/docker.sock]
    #[arg(
        id = "container_socket",
        long = "container-socket",
        env = "NXMESH_CONTAINER_SOCKET",
        value_name = "FILE"
    )]
    pub(super) socket: Option<PathBuf>,
}

nxmesh_process::overlay!(ContainerSettings { name, socket });

/// The settings of one reloader say nothing to another: what is set and not used is a mistake.
pub(super) fn unused(settings: &Settings, choice: ReloaderChoice) -> Result<()> {
    let Settings {
        command,
        systemd,
        container,
        ..
    } = settings;
    let wrong = if choice != ReloaderChoice::Command
        && (command.check.is_some() || command.reload.is_some() || command.start.is_some())
    {
        "commands to check, reload and start are for --reloader command"
    } else if choice != ReloaderChoice::Systemd
        && (systemd.unit.is_some() || systemd.reload.is_some() || systemd.bus.is_some())
    {
        "settings of a unit are for --reloader systemd"
    } else if choice != ReloaderChoice::Container
        && (container.name.is_some() || container.socket.is_some())
    {
        "settings of a container are for --reloader container"
    } else if choice == ReloaderChoice::Container && settings.enter_command.is_some() {
        "--enter-command is not for --reloader container, where the engine enters"
    } else {
        return Ok(());
    };
    Err(anyhow!("{wrong}; it is {choice}")).or_exit(Exit::Usage)
}

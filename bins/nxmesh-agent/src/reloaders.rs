//! Settings of the ways to reload nginx, and what becomes of them.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use nxmesh_agent_lib::{
    apply::ApplyOptions,
    nginx::{Enter, Layout, NginxBuild},
    reload::{
        CommandOptions, CommandReloader, ContainerOptions, ContainerReloader, SignalOptions,
        SignalReloader, SystemdOptions, SystemdReloader, UnitReload,
    },
};
use nxmesh_core::contract::reloader::Reloader;
use nxmesh_process::exit::{Exit, OrExit as _};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::{
    options::Settings,
    values::{DeploymentMode, ReloaderChoice, Words},
};

/// How long `nginx -V` may take.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);
/// How often nginx is looked for while it is awaited.
const LOOK: Duration = Duration::from_millis(500);
/// The nginx.conf in nginx's own images.
const CONF_IN_IMAGES: &str = "/etc/nginx/nginx.conf";

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
    unit: Option<String>,
    /// With `--reloader systemd`: how it is reloaded [default: signal]
    #[arg(
        id = "systemd_reload",
        long = "systemd-reload",
        env = "NXMESH_SYSTEMD_RELOAD",
        value_enum,
        value_name = "HOW"
    )]
    reload: Option<ReloadOfUnit>,
    /// With `--reloader systemd`: the D-Bus address of systemd's bus
    /// [default: unix:path=/run/dbus/system_bus_socket]
    #[arg(
        id = "systemd_bus",
        long = "systemd-bus",
        env = "NXMESH_SYSTEMD_BUS",
        value_name = "ADDRESS"
    )]
    bus: Option<String>,
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
    name: Option<String>,
    /// With `--reloader container`: the engine's socket [default: /var/run/docker.sock]
    #[arg(
        id = "container_socket",
        long = "container-socket",
        env = "NXMESH_CONTAINER_SOCKET",
        value_name = "FILE"
    )]
    socket: Option<PathBuf>,
}

nxmesh_process::overlay!(ContainerSettings { name, socket });

/// The settings of one reloader say nothing to another: what is set and not used is a mistake.
fn unused(settings: &Settings, choice: ReloaderChoice) -> Result<()> {
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

/// Where nginx's binary is, and how it is reached.
pub(crate) struct Reached {
    choice: ReloaderChoice,
    pub(crate) binary: PathBuf,
    enter: Enter,
}

impl Reached {
    pub(crate) fn new(
        settings: &Settings,
        layout: &Layout,
        find: impl FnOnce() -> Result<PathBuf>,
    ) -> Result<Self> {
        let choice = settings.reloader.unwrap_or(ReloaderChoice::Signal);
        unused(settings, choice)?;
        let deployed = settings
            .deployment_mode
            .unwrap_or(DeploymentMode::Standalone);
        let is_sidecar = deployed != DeploymentMode::Standalone;
        let enter = match &settings.enter_command {
            Some(words) => Enter::Command(words.0.clone()),
            None if is_sidecar && choice != ReloaderChoice::Container => Enter::RootOfNginx {
                shared: shared(layout),
            },
            None => Enter::NotNeeded,
        };
        let is_here = enter == Enter::NotNeeded && choice != ReloaderChoice::Container;
        Ok(Self {
            binary: match &settings.nginx_binary {
                Some(binary) if is_here => std::path::absolute(binary)?,
                Some(binary) => binary.clone(),
                None if is_here => find()?,
                None => "/usr/sbin/nginx".into(),
            },
            choice,
            enter,
        })
    }

    /// What nginx says of itself. Where it has to run for that it is awaited for `patience`.
    pub(crate) async fn ask(
        &self,
        settings: &Settings,
        layout: &Layout,
        patience: Duration,
    ) -> Result<NginxBuild> {
        if self.choice == ReloaderChoice::Container {
            let reloader = ContainerReloader::new(self.container(settings, layout, None)?);
            reloader.verify().await.or_exit(Exit::Invalid)?;
            return reloader
                .build()
                .await
                .cloned()
                .map_err(|error| {
                    anyhow!(error).context(
                        "the container has to run, so that its nginx can be asked for its version",
                    )
                })
                .or_exit(Exit::Invalid);
        }
        if !self.enter.needs_nginx() {
            return NginxBuild::ask_where(&self.binary, &self.enter, None, VERSION_DEADLINE)
                .await
                .or_exit(Exit::Invalid);
        }
        let conf = settings.nginx_conf.clone();
        let sought = SignalReloader::new(SignalOptions {
            binary: self.binary.clone(),
            conf: match settings.is_full() {
                true => layout.full_conf(),
                false => conf.unwrap_or_else(|| CONF_IN_IMAGES.into()),
            },
            prefix: None,
            pid_file: settings.nginx_pid_file.clone(),
            unix_sockets: Vec::new(),
            start_log: layout.start_log(),
            enter: self.enter.clone(),
        });
        let begun = Instant::now();
        loop {
            let unmet = match sought.verify().await {
                Ok(()) => return sought.build().await.cloned().or_exit(Exit::Invalid),
                Err(unmet) => unmet,
            };
            if begun.elapsed() >= patience {
                return Err(unmet).or_exit(Exit::Invalid);
            }
            sleep(LOOK).await;
        }
    }

    fn container(
        &self,
        settings: &Settings,
        layout: &Layout,
        error_log: Option<PathBuf>,
    ) -> Result<ContainerOptions> {
        let name = settings.container.name.clone();
        let name = name
            .ok_or_else(|| anyhow!("--reloader container needs --container NAME"))
            .or_exit(Exit::Usage)?;
        let socket = settings.container.socket.clone();
        Ok(ContainerOptions {
            container: name,
            socket: socket.unwrap_or_else(|| ContainerOptions::SOCKET.into()),
            binary: match &settings.nginx_binary {
                Some(binary) => binary.to_string_lossy().into_owned(),
                None => "nginx".to_owned(),
            },
            shared: shared(layout),
            error_log,
            unix_sockets: vec![layout.probe_socket()],
        })
    }

    /// The reloader, if all is there that it needs.
    pub(crate) async fn reloader(
        self,
        settings: &Settings,
        apply: &ApplyOptions,
        pid_file: Option<PathBuf>,
    ) -> Result<Box<dyn Reloader>> {
        let layout = &apply.layout;
        let container = match self.choice {
            ReloaderChoice::Container => {
                let log = settings.is_full().then(|| layout.full_options().error_log);
                Some(self.container(settings, layout, log)?)
            }
            _ => None,
        };
        let nginx = SignalOptions {
            binary: self.binary,
            conf: apply.nginx_conf(),
            prefix: settings.nginx_prefix.clone(),
            pid_file,
            unix_sockets: vec![layout.probe_socket()],
            start_log: layout.start_log(),
            enter: self.enter,
        };
        match (self.choice, container) {
            (ReloaderChoice::Container, Some(options)) => {
                let reloader = ContainerReloader::new(options);
                reloader.verify().await.or_exit(Exit::Invalid)?;
                Ok(Box::new(reloader))
            }
            (ReloaderChoice::Command, _) => {
                let CommandSettings {
                    check,
                    reload,
                    start,
                } = settings.command.clone();
                let words = |words: Option<Words>| words.map(|words| words.0);
                let reloader = CommandReloader::new(CommandOptions {
                    nginx,
                    check: words(check),
                    reload: words(reload),
                    start: words(start),
                });
                reloader.verify().await.or_exit(Exit::Invalid)?;
                Ok(Box::new(reloader))
            }
            (ReloaderChoice::Systemd, _) => {
                let SystemdSettings { unit, reload, bus } = settings.systemd.clone();
                let reloader = SystemdReloader::new(SystemdOptions {
                    nginx,
                    unit: unit.unwrap_or_else(|| SystemdOptions::UNIT.to_owned()),
                    reload: match reload {
                        Some(ReloadOfUnit::Unit) => UnitReload::Unit,
                        Some(ReloadOfUnit::Signal) | None => UnitReload::Signal,
                    },
                    bus: bus.unwrap_or_else(|| SystemdOptions::BUS.to_owned()),
                });
                reloader.verify().await.or_exit(Exit::Invalid)?;
                Ok(Box::new(reloader))
            }
            (ReloaderChoice::Signal | ReloaderChoice::Container, _) => {
                let reloader = SignalReloader::new(nginx);
                reloader.verify().await.or_exit(Exit::Invalid)?;
                Ok(Box::new(reloader))
            }
        }
    }
}

/// What nginx reads of the agent's.
fn shared(layout: &Layout) -> Vec<PathBuf> {
    [layout.state_dir(), layout.runtime_dir(), layout.cache()]
        .map(PathBuf::from)
        .into()
}

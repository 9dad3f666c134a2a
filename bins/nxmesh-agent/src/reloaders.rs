//! The ways to reload nginx, made of their settings.

mod settings;

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, anyhow};
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
use tokio::time::{Instant, sleep};

pub(crate) use self::settings::{CommandSettings, ContainerSettings, SystemdSettings};
use self::settings::{ReloadOfUnit, unused};
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
            build: None,
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
        build: NginxBuild,
    ) -> Result<Box<dyn Reloader>> {
        let layout = &apply.layout;
        if self.choice == ReloaderChoice::Container {
            let log = settings.is_full().then(|| layout.full_options().error_log);
            let reloader = ContainerReloader::new(self.container(settings, layout, log)?);
            reloader.verify().await.or_exit(Exit::Invalid)?;
            return Ok(Box::new(reloader));
        }
        let nginx = SignalOptions {
            binary: self.binary,
            conf: apply.nginx_conf(),
            prefix: settings.nginx_prefix.clone(),
            pid_file,
            unix_sockets: vec![layout.probe_socket()],
            start_log: layout.start_log(),
            build: Some(build),
            enter: self.enter,
        };
        match self.choice {
            ReloaderChoice::Command => {
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
            ReloaderChoice::Systemd => {
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
            // The last one went its way above.
            ReloaderChoice::Signal | ReloaderChoice::Container => {
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

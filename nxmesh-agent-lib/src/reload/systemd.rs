//! An nginx that is a unit of systemd, driven through D-Bus
//! (org.freedesktop.systemd1(5)).

mod bus;
mod connection;
mod wire;

use std::{fs::File, time::Duration};

use async_trait::async_trait;
use nxmesh_core::contract::reloader::{Candidate, Generation, ReloadError, Reloader};
use tokio::sync::Mutex;

use self::bus::{Bus, Job, Unit};
use super::{
    error_log::End,
    local::{Local, SignalOptions},
    needs::{self, Unmet},
    proof::{self, Means},
};
use crate::nginx::Master;

/// How the unit is reloaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnitReload {
    /// By SIGHUP to the unit's main process, once that is seen to be nginx.
    #[default]
    Signal,
    /// By `ReloadUnit`, that is the unit's own `ExecReload=`.
    Unit,
}

/// Which unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemdOptions {
    /// The nginx in it. Its binary checks; systemd starts it.
    pub nginx: SignalOptions,
    /// The unit, with its suffix. Usually [`UNIT`](Self::UNIT).
    pub unit: String,
    /// How it is reloaded.
    pub reload: UnitReload,
    /// The address of systemd's bus. Usually [`BUS`](Self::BUS).
    pub bus: String,
}

impl SystemdOptions {
    /// What distributions call the unit of nginx.
    pub const UNIT: &'static str = "nginx.service";
    /// Where the system bus listens (D-Bus specification, "System message bus").
    pub const BUS: &'static str = "unix:path=/run/dbus/system_bus_socket";
}

/// Drives an nginx that systemd looks after. What a job's end says is believed
/// when it failed; a success is proven by nginx's processes.
#[derive(Debug)]
pub struct SystemdReloader {
    options: SystemdOptions,
    local: Local,
    bus: Bus,
    turn: Mutex<()>,
    /// Where the error log ended before nginx was last started.
    before_start: Mutex<Option<End>>,
}

impl SystemdReloader {
    const NAME: &'static str = "systemd";

    /// Makes a reloader; nothing is looked at yet.
    #[must_use]
    pub fn new(options: SystemdOptions) -> Self {
        Self {
            local: Local::new(Self::NAME, options.nginx.clone()),
            bus: Bus::new(options.bus.clone()),
            options,
            turn: Mutex::new(()),
            before_start: Mutex::new(None),
        }
    }

    /// Looks whether all is there that this needs.
    ///
    /// # Errors
    ///
    /// [`Unmet`] names the first thing that is missing.
    pub async fn verify(&self) -> Result<(), Unmet> {
        let SystemdOptions {
            unit: name, bus, ..
        } = &self.options;
        let unit = self.bus.unit(name).await.map_err(|error| {
            Unmet::new(
                format!("systemd could not be asked for {name} at {bus}: {error}"),
                "is this machine run by systemd, and may the agent use its bus? In a container, mount /run/dbus/system_bus_socket and share the process ids",
            )
        })?;
        match unit.load_state.as_str() {
            "loaded" => {}
            "masked" => {
                return Err(Unmet::new(
                    format!("the unit {name} is masked"),
                    format!("`systemctl unmask {name}`, or name another with --systemd-unit"),
                ));
            }
            state => {
                return Err(Unmet::new(
                    format!("systemd has no usable unit {name}: it is {state}"),
                    "install nginx's unit, or name it with --systemd-unit",
                ));
            }
        }
        self.local.verify().await?;
        if unit.main_pid == 0 {
            return Ok(());
        }
        let conf = self.options.nginx.conf.display();
        let Some(master) = Master::at(unit.main_pid) else {
            return Err(Unmet::new(
                format!(
                    "the main process of {name}, pid {}, is no nginx",
                    unit.main_pid
                ),
                "name nginx's own unit with --systemd-unit; without `PIDFile=` a unit that forks may take a worker for it",
            ));
        };
        needs::may_signal(&master)?;
        match self.local.find().await {
            Ok(Some(found)) if found != master => Err(Unmet::new(
                format!("{conf} is run by pid {}, not by {name}", found.pid()),
                "stop one of them",
            )),
            Ok(None) => Err(Unmet::new(
                format!("the nginx of {name} does not run {conf}"),
                format!(
                    "say `-c {conf}` in its ExecStart=, or name its own file with --nginx-conf"
                ),
            )),
            _ => Ok(()),
        }
    }

    async fn unit(&self) -> Result<Unit, ReloadError> {
        let unit = self.bus.unit(&self.options.unit).await;
        unit.map_err(proof::backend(Self::NAME, "ask systemd for the unit"))
    }

    /// Runs a job on the unit; the words of nginx if it fails for them.
    async fn run(&self, job: Job, deadline: Duration) -> Result<(), ReloadError> {
        let action = match job {
            Job::Start => "have systemd start the unit",
            Job::Reload => "have systemd reload the unit",
        };
        let unit = &self.options.unit;
        let ran = tokio::time::timeout(deadline, self.bus.run(job, unit)).await;
        let result = ran
            .map_err(|_| {
                let late = format!("the job on {unit} did not end within {deadline:?}");
                proof::backend(Self::NAME, action)(late)
            })?
            .map_err(proof::backend(Self::NAME, action))?;
        if result == "done" {
            return Ok(());
        }
        self.nginx_refuses(deadline).await?;
        Err(proof::backend(Self::NAME, action)(format!(
            "the job on {unit} ended with {result}; `journalctl -u {unit}` tells more"
        )))
    }

    /// Fails with nginx's words if it has any. systemd has them in its journal,
    /// where not everybody may read: so nginx is asked again, and its error log
    /// read from where it ended before the start.
    async fn nginx_refuses(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.local.check_in_place(None, deadline).await?;
        let end = self.before_start.lock().await.clone();
        let diagnostic = end.map(|end| end.diagnostic_since()).unwrap_or_default();
        if diagnostic.contains("[emerg]") {
            return Err(ReloadError::Rejected { diagnostic });
        }
        Ok(())
    }
}

#[async_trait]
impl Means for SystemdReloader {
    type Nginx = Master;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn find(&self) -> Result<Option<Master>, ReloadError> {
        Ok(Master::at(self.unit().await?.main_pid))
    }

    async fn have_reloaded(&self, nginx: &Master, deadline: Duration) -> Result<(), ReloadError> {
        match self.options.reload {
            UnitReload::Signal => self.local.hang_up(nginx).await,
            UnitReload::Unit => {
                self.local.remove_dead_sockets().await?;
                self.run(Job::Reload, deadline).await
            }
        }
    }

    async fn launch(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.local.clear_the_way(self.would_start(deadline)).await?;
        *self.before_start.lock().await = self.local.end_of_log().await;
        self.run(Job::Start, deadline).await
    }

    async fn is_coming(&self) -> Result<(), ReloadError> {
        if self.unit().await?.active_state != "failed" {
            return Ok(());
        }
        // A unit that does not fork "starts" before nginx has read anything.
        let name = &self.options.unit;
        self.nginx_refuses(CHECK).await?;
        let failed = format!("{name} failed; `journalctl -u {name}` tells more");
        Err(proof::backend(Self::NAME, "keep the unit up")(failed))
    }
}

/// How long nginx may take to say what it has against its configuration.
const CHECK: Duration = Duration::from_secs(60);

#[async_trait]
impl Reloader for SystemdReloader {
    fn backend(&self) -> &'static str {
        Self::NAME
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        self.local.check(candidate, deadline).await
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let _turn = self.turn.lock().await;
        proof::reload(self, deadline).await
    }

    async fn would_start(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.local.would_start(deadline).await
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let _turn = self.turn.lock().await;
        proof::start(self, deadline).await
    }

    /// By signals, for which the agent has the right anyway. systemd does not
    /// mind: a unit that ended is started as any other.
    async fn stop(&self, deadline: Duration) -> Result<(), ReloadError> {
        let _turn = self.turn.lock().await;
        match Means::find(self).await? {
            Some(nginx) => self.local.end(&nginx, deadline).await,
            None => Ok(()),
        }
    }

    async fn quit(&self, deadline: Duration) -> Result<bool, ReloadError> {
        let _turn = self.turn.lock().await;
        match Means::find(self).await? {
            Some(nginx) => self.local.quit(&nginx, deadline).await,
            None => Ok(true),
        }
    }

    async fn resume(&self) -> Result<(), ReloadError> {
        self.local.resume(Means::find(self).await?.as_ref())
    }

    async fn error_log(&self) -> Result<Option<File>, ReloadError> {
        let nginx = Means::find(self).await?;
        Ok(nginx.and_then(|nginx| nginx.error_log()))
    }

    async fn running(&self) -> Result<Option<Generation>, ReloadError> {
        let master = Means::find(self).await?;
        Ok(master.map(|master| master.generation()))
    }
}

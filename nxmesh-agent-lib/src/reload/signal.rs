//! Reloading by SIGHUP, proven by the workers that follow it.

use std::{fs::File, time::Duration};

use async_trait::async_trait;
use nxmesh_core::contract::reloader::{Candidate, Generation, ReloadError, Reloader};
use tokio::sync::Mutex;

use super::{
    local::{Local, SignalOptions},
    needs::Unmet,
    proof::{self, Means},
};
use crate::nginx::{Enter, Master, NginxBuild};

/// Drives an nginx of this machine, or of a container that shares its process
/// ids, by signals. Believes no pid file and no exit code: only processes and
/// the error log.
///
/// ```no_run
/// # async fn example() -> Result<(), nxmesh_core::contract::reloader::ReloadError> {
/// use std::time::Duration;
///
/// use nxmesh_agent_lib::nginx::Enter;
/// use nxmesh_agent_lib::reload::{SignalOptions, SignalReloader};
/// use nxmesh_core::contract::reloader::Reloader as _;
///
/// let reloader = SignalReloader::new(SignalOptions {
///     binary: "/usr/sbin/nginx".into(),
///     conf: "/etc/nginx/nginx.conf".into(),
///     prefix: None,
///     pid_file: Some("/run/nginx.pid".into()),
///     unix_sockets: vec![],
///     start_log: "/run/nxmesh/nginx-start.log".into(),
///     build: None,
///     enter: Enter::NotNeeded,
/// });
/// let generation = reloader.reload(Duration::from_secs(30)).await?;
/// println!("{} workers serve", generation.workers.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SignalReloader {
    local: Local,
    /// Two reloads at a time could not tell whose workers they see.
    turn: Mutex<()>,
}

impl SignalReloader {
    const NAME: &'static str = "signal";

    /// Makes a reloader; nothing is looked at yet.
    #[must_use]
    pub fn new(options: SignalOptions) -> Self {
        Self {
            local: Local::new(Self::NAME, options),
            turn: Mutex::new(()),
        }
    }

    /// What the binary says of itself; asked once.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Backend`] if it cannot be asked.
    pub async fn build(&self) -> Result<&NginxBuild, ReloadError> {
        let nginx = match self.local.options.enter.needs_nginx() {
            true => self.local.find().await?,
            false => None,
        };
        self.local.build(nginx.as_ref()).await
    }

    /// Looks whether all is there that this needs.
    ///
    /// # Errors
    ///
    /// [`Unmet`] names the first thing that is missing.
    pub async fn verify(&self) -> Result<(), Unmet> {
        self.local.verify().await
    }
}

#[async_trait]
impl Means for SignalReloader {
    type Nginx = Master;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn find(&self) -> Result<Option<Master>, ReloadError> {
        self.local.find().await
    }

    async fn have_reloaded(&self, nginx: &Master, _: Duration) -> Result<(), ReloadError> {
        self.local.hang_up(nginx).await
    }

    async fn launch(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.local.clear_the_way(self.would_start(deadline)).await?;
        match self.local.options.enter {
            Enter::NotNeeded => self.local.launch(deadline).await,
            // Its container's runtime starts it.
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Reloader for SignalReloader {
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
        match self.local.options.enter {
            Enter::NotNeeded => self.local.would_launch(deadline).await,
            _ => self.local.would_start(deadline).await,
        }
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let _turn = self.turn.lock().await;
        proof::start(self, deadline).await
    }

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
        let master = self.local.find().await?;
        Ok(master.map(|master| master.generation()))
    }
}

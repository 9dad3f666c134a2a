//! An nginx in a container, driven through the engine's API.

mod answers;
mod docker;
mod needs;
mod nginx;
mod stream;
mod table;

use std::{
    fs::File,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use http::StatusCode;
use nxmesh_core::contract::reloader::{Candidate, Generation, Output, ReloadError, Reloader};
use tokio::sync::{Mutex, OnceCell};

use self::{
    answers::{Executed, Inspected},
    docker::{Docker, DockerError},
    nginx::Contained,
    table::Table,
};
use super::{
    diagnostic,
    proof::{self, Means},
    sockets,
};
use crate::nginx::{NginxBuild, command::ENVIRONMENT};

/// How long `nginx -V` may take.
const VERSION_DEADLINE: Duration = Duration::from_secs(20);
/// How often it is looked whether nginx has ended.
const LOOK: Duration = Duration::from_millis(50);
/// How long it may take to read what nginx said as it failed.
const LOG_DEADLINE: Duration = Duration::from_secs(10);

/// Which container, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerOptions {
    /// The container's name or id.
    pub container: String,
    /// The engine's socket. Usually [`SOCKET`](Self::SOCKET).
    pub socket: PathBuf,
    /// nginx's binary in the container: a path, or a name in its `PATH`.
    pub binary: String,
    /// Folders that nginx has to see under the same paths: volumes.
    pub shared: Vec<PathBuf>,
    /// nginx's error log, where that is a file that is seen here as well. What
    /// the container says on standard error is read anyway.
    pub error_log: Option<PathBuf>,
    /// The unix sockets nginx listens on: removed before a start and a reload
    /// when nobody serves them.
    pub unix_sockets: Vec<PathBuf>,
}

impl ContainerOptions {
    /// Where Docker listens unless told otherwise.
    pub const SOCKET: &'static str = "/var/run/docker.sock";
}

/// Drives an nginx in a container of Docker, or of an engine with the same API.
/// It is watched in `/proc` where its processes are seen here, and by the
/// engine's `top` where they are not.
#[derive(Debug)]
pub struct ContainerReloader {
    options: ContainerOptions,
    docker: Docker,
    build: OnceCell<NginxBuild>,
    turn: Mutex<()>,
    /// The start that is under way.
    started: std::sync::Mutex<Option<Started>>,
}

#[derive(Debug, Clone)]
struct Started {
    since: String,
    restarts: u64,
}

impl ContainerReloader {
    const NAME: &'static str = "container";

    /// Makes a reloader; nothing is looked at yet.
    #[must_use]
    pub fn new(options: ContainerOptions) -> Self {
        Self {
            docker: Docker::new(options.socket.clone()),
            options,
            build: OnceCell::new(),
            turn: Mutex::new(()),
            started: std::sync::Mutex::new(None),
        }
    }

    /// What the binary in the container says of itself; asked once. The
    /// container has to run for that.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Backend`] if it cannot be asked.
    pub async fn build(&self) -> Result<&NginxBuild, ReloadError> {
        const ACTION: &str = "ask nginx for its version";
        self.build
            .get_or_try_init(|| async {
                let said = self.nginx(&["-V"], VERSION_DEADLINE, ACTION).await?;
                NginxBuild::parse(&said.output).ok_or_else(|| {
                    let other = format!("it says: {}", said.output.trim());
                    proof::backend(Self::NAME, ACTION)(other)
                })
            })
            .await
    }

    async fn nginx(
        &self,
        arguments: &[&str],
        deadline: Duration,
        action: &'static str,
    ) -> Result<Executed, ReloadError> {
        let command: Vec<String> = std::iter::once(self.options.binary.as_str())
            .chain(arguments.iter().copied())
            .map(str::to_owned)
            .collect();
        let environment = [format!("{}={}", ENVIRONMENT.0, ENVIRONMENT.1)];
        self.docker
            .execute(&self.options.container, &command, &environment, deadline)
            .await
            .map_err(proof::backend(Self::NAME, action))
    }

    async fn inspect(&self) -> Result<Inspected, ReloadError> {
        let inspected = self.docker.inspect(&self.options.container).await;
        inspected.map_err(proof::backend(Self::NAME, "inspect the container"))
    }

    async fn table(&self, inspected: &Inspected) -> Result<Table, DockerError> {
        let top = self.docker.top(&inspected.id).await?;
        Table::read(&top, inspected.state.pid)
    }

    async fn remove_dead_sockets(&self) -> Result<(), ReloadError> {
        for socket in &self.options.unix_sockets {
            sockets::remove_dead(socket)
                .await
                .map_err(proof::backend(Self::NAME, "remove a dead socket"))?;
        }
        Ok(())
    }

    /// What the container said on its way down.
    async fn words(&self, inspected: &Inspected, since: &str) -> String {
        let read = async {
            let log = self.docker.logs(&inspected.id, since, false).await?;
            Ok::<_, DockerError>(stream::read_log(log, inspected.config.tty).await?)
        };
        match tokio::time::timeout(LOG_DEADLINE, read).await {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => format!("its log could not be read: {error}"),
            Err(_) => "its log could not be read in time".to_owned(),
        }
    }

    fn started(&self) -> std::sync::MutexGuard<'_, Option<Started>> {
        self.started
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Means for ContainerReloader {
    type Nginx = Contained;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn find(&self) -> Result<Option<Contained>, ReloadError> {
        const ACTION: &str = "look for nginx in the container";
        let inspected = self.inspect().await?;
        if !inspected.state.running || inspected.state.paused || inspected.state.pid == 0 {
            return Ok(None);
        }
        let table = match self.table(&inspected).await {
            Ok(table) => table,
            // It ended in between.
            Err(error) if error.is(StatusCode::CONFLICT) => return Ok(None),
            Err(error) => return Err(proof::backend(Self::NAME, ACTION)(error)),
        };
        let Some(master) = table.master().map_err(proof::backend(Self::NAME, ACTION))? else {
            return Ok(None);
        };
        Ok(Some(Contained::new(
            self.docker.clone(),
            &inspected,
            master,
            &table,
            self.options.error_log.clone(),
        )))
    }

    async fn have_reloaded(&self, nginx: &Contained, _: Duration) -> Result<(), ReloadError> {
        const ACTION: &str = "send SIGHUP to nginx";
        self.remove_dead_sockets().await?;
        nginx.takes_signals().map_err(|first| {
            proof::backend(Self::NAME, ACTION)(format!(
                "the container's first process is `{first}`, which does not pass it on"
            ))
        })?;
        match self.docker.signal(nginx.container(), "HUP").await {
            // It does not run, or is not there any more.
            Err(error) if error.is(StatusCode::CONFLICT) || error.is(StatusCode::NOT_FOUND) => {
                Err(ReloadError::NotRunning)
            }
            sent => sent.map_err(proof::backend(Self::NAME, ACTION)),
        }
    }

    async fn launch(&self, deadline: Duration) -> Result<(), ReloadError> {
        const ACTION: &str = "start the container";
        self.remove_dead_sockets().await?;
        let inspected = self.inspect().await?;
        if inspected.state.paused {
            let name = &self.options.container;
            return Err(proof::backend(Self::NAME, ACTION)(format!(
                "it is paused; `docker unpause {name}`"
            )));
        }
        *self.started() = Some(Started {
            since: unix_time(),
            restarts: inspected.restart_count,
        });
        self.docker
            .start(&inspected.id, deadline)
            .await
            .map_err(proof::backend(Self::NAME, ACTION))
    }

    async fn is_coming(&self) -> Result<(), ReloadError> {
        let Some(started) = self.started().clone() else {
            return Ok(());
        };
        let inspected = self.inspect().await?;
        let state = &inspected.state;
        let again = state.restarting || inspected.restart_count > started.restarts;
        if (state.running && !again) || state.status == "created" {
            return Ok(());
        }
        let said = self.words(&inspected, &started.since).await;
        let found = diagnostic::of(said.lines());
        if found.contains("[emerg]") {
            return Err(ReloadError::Rejected { diagnostic: found });
        }
        let how = format!("it is {} with exit code {}", state.status, state.exit_code);
        let said = format!("{} {said}", state.error);
        Err(proof::backend(Self::NAME, "keep the container up")(
            diagnostic::ended(how, &said),
        ))
    }
}

#[async_trait]
impl Reloader for ContainerReloader {
    fn backend(&self) -> &'static str {
        Self::NAME
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        const ACTION: &str = "run nginx -t in the container";
        let conf = candidate.check_conf.to_string_lossy();
        let prefix = format!("{}/", candidate.check_prefix.display());
        let mut arguments = vec!["-t", "-q", "-p", &prefix, "-c", &conf];
        if self.build().await?.version >= super::local::SINCE_ERROR_LOG_FLAG {
            arguments.extend(["-e", "stderr"]);
        }
        let ended = self.nginx(&arguments, deadline, ACTION).await?;
        if ended.exit_code == 0 {
            return Ok(());
        }
        let diagnostic = diagnostic::of(ended.output.lines());
        if diagnostic.is_empty() {
            // 126 and 127: there is no such program, or it may not be run.
            let how = format!("exit code {}", ended.exit_code);
            return Err(proof::backend(Self::NAME, ACTION)(diagnostic::ended(
                how,
                &ended.output,
            )));
        }
        Err(ReloadError::Rejected { diagnostic })
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let _turn = self.turn.lock().await;
        proof::reload(self, deadline).await
    }

    /// As long as it runs: then nothing can be run in it.
    async fn would_start(&self, deadline: Duration) -> Result<(), ReloadError> {
        const ACTION: &str = "run nginx -t in the container";
        let Some(nginx) = Means::find(self).await? else {
            return Ok(());
        };
        let named = nginx.named();
        let mut arguments = vec!["-t", "-q"];
        arguments.extend(named.iter().map(String::as_str));
        let ended = self.nginx(&arguments, deadline, ACTION).await?;
        let said = ended.output.trim();
        // What a master calls itself may be cut.
        let cut = named
            .iter()
            .any(|it| said.contains(&format!("open() \"{it}\" failed")));
        if ended.exit_code == 0 || cut {
            return Ok(());
        }
        let said: String = match diagnostic::of(said.lines()) {
            found if found.is_empty() => said.chars().take(1024).collect(),
            found => found,
        };
        let name = &self.options.container;
        Err(ReloadError::WouldNotStart {
            reason: format!("{said}; `docker exec {name} nginx -t` shows it"),
        })
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let _turn = self.turn.lock().await;
        let started = proof::start(self, deadline).await;
        *self.started() = None;
        started
    }

    async fn stop(&self, deadline: Duration) -> Result<(), ReloadError> {
        const ACTION: &str = "stop the container";
        let _turn = self.turn.lock().await;
        // Not what is paused: somebody wants it to stand still.
        if Means::find(self).await?.is_none() {
            return Ok(());
        }
        let failed = proof::backend(Self::NAME, ACTION);
        let name = &self.options.container;
        self.docker.stop(name, deadline).await.map_err(failed)
    }

    /// A policy of the engine may start the container anew once nginx ended.
    async fn quit(&self, deadline: Duration) -> Result<bool, ReloadError> {
        let begun = Instant::now();
        let _turn = self.turn.lock().await;
        let Some(nginx) = Means::find(self).await? else {
            return Ok(true);
        };
        // Its first process keeps the signal to itself.
        if nginx.takes_signals().is_err() {
            return Ok(false);
        }
        match self.docker.signal(nginx.container(), "QUIT").await {
            // It ended in between.
            Err(error) if error.is(StatusCode::CONFLICT) || error.is(StatusCode::NOT_FOUND) => {}
            sent => sent.map_err(proof::backend(Self::NAME, "send SIGQUIT to nginx"))?,
        }
        while proof::Watched::is_alive(&nginx).await? {
            if begun.elapsed() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(true)
    }

    /// What goes to the container's own log is told by [`output`](Self::output).
    async fn error_log(&self) -> Result<Option<File>, ReloadError> {
        let nginx = Means::find(self).await?;
        Ok(nginx.and_then(|nginx| nginx.error_log()))
    }

    /// Also of a container that does not run any more.
    async fn output(&self, lines: u32, follow: bool) -> Result<Option<Output>, ReloadError> {
        const ACTION: &str = "read the container's log";
        let inspected = self.inspect().await?;
        let tty = inspected.config.tty;
        let log = self.docker.tail(&inspected.id, lines, tty, follow).await;
        let log = log.map_err(proof::backend(Self::NAME, ACTION))?;
        Ok(Some(stream::output(log, tty)))
    }

    async fn resume(&self) -> Result<(), ReloadError> {
        const ACTION: &str = "send SIGCONT to nginx";
        let stopped = self.running().await?.is_some_and(|nginx| nginx.stopped);
        if !stopped {
            return Ok(());
        }
        let sent = self.docker.signal(&self.options.container, "CONT").await;
        sent.map_err(proof::backend(Self::NAME, ACTION))
    }

    async fn running(&self) -> Result<Option<Generation>, ReloadError> {
        match Means::find(self).await? {
            Some(nginx) => proof::Watched::generation(&nginx).await.map(Some),
            None => Ok(None),
        }
    }
}

/// As the engine takes it: seconds and nanoseconds.
fn unix_time() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
}

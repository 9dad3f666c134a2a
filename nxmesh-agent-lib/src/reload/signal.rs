//! Reloading by SIGHUP, proven by the workers that follow it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use nix::sys::signal::{Signal, kill};
use nxmesh_core::contract::{
    BoxError,
    reloader::{Candidate, Generation, ReloadError, Reloader},
};
use tokio::{
    sync::{Mutex, OnceCell},
    time::sleep,
};

use super::{
    diagnostic,
    error_log::{ErrorLog, Says},
    sockets,
    turnover::Turnover,
};
use crate::nginx::{
    NginxBuild, command,
    process::{Instance, Master, worker_of_no_master},
};

/// How often nginx is looked at while something is due at any moment.
const POLL: Duration = Duration::from_millis(10);
/// How often while new workers only have to stay alive: what came and went
/// between two looks shows in the process ids.
const POLL_SETTLING: Duration = Duration::from_millis(50);
/// While new workers are awaited, the pause grows to this part of the wait so
/// far: on a machine with many nginx, looking must not slow down their parsing.
const POLL_PART: u32 = 4;
/// How long the processes have to bear out what the error log says.
const BORNE_OUT: Duration = Duration::from_millis(250);
/// How long workers of a killed master get to close their sockets.
const ORPHANS: Duration = Duration::from_secs(2);
/// A check mostly takes fresh memory and gives it back: in huge pages, where
/// glibc and the kernel have them, that takes a fifth less time with 20 virtual
/// hosts and a third less with 3000 (glibc manual, "Memory Allocation Tunables").
const CHECK_MEMORY: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=4194304",
);
/// How long `nginx -V` may take.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);

/// Which nginx, and how it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalOptions {
    /// The nginx binary, absolute.
    pub binary: PathBuf,
    /// Its configuration, absolute (`nginx -c`).
    pub conf: PathBuf,
    /// Its prefix (`nginx -p`). Default: the binary's own.
    pub prefix: Option<PathBuf>,
    /// Where it writes its pid. Default: where the binary does so unless told.
    pub pid_file: Option<PathBuf>,
    /// The unix sockets it listens on, absolute: removed before a start and a
    /// reload when nobody serves them. By the first of them workers of a
    /// killed master are found.
    pub unix_sockets: Vec<PathBuf>,
    /// A file for what nginx says while it starts; its folder must exist.
    pub start_log: PathBuf,
}

/// Drives an nginx of this machine, or of a container that shares its process
/// ids, by signals. Believes no pid file and no exit code: only processes and
/// the error log.
///
/// ```no_run
/// # async fn example() -> Result<(), nxmesh_core::contract::reloader::ReloadError> {
/// use std::time::Duration;
///
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
/// });
/// let generation = reloader.reload(Duration::from_secs(30)).await?;
/// println!("{} workers serve", generation.workers.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SignalReloader {
    options: SignalOptions,
    build: OnceCell<NginxBuild>,
    /// Two reloads at a time could not tell whose workers they see.
    turn: Mutex<()>,
}

impl SignalReloader {
    /// Makes a reloader; nothing is looked at yet.
    #[must_use]
    pub fn new(options: SignalOptions) -> Self {
        Self {
            options,
            build: OnceCell::new(),
            turn: Mutex::new(()),
        }
    }

    /// What the binary says of itself; asked once.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Backend`] if it cannot be asked.
    pub async fn build(&self) -> Result<&NginxBuild, ReloadError> {
        self.build
            .get_or_try_init(|| NginxBuild::ask(&self.options.binary, VERSION_DEADLINE))
            .await
            .map_err(backend("ask nginx for its version"))
    }

    async fn master(&self) -> Result<Option<Master>, ReloadError> {
        let build = self.build().await?;
        let instance = Instance {
            conf: self.options.conf.clone(),
            pid_file: Some(
                self.options
                    .pid_file
                    .clone()
                    .unwrap_or_else(|| build.pid_path.clone()),
            ),
            default_conf: Some(build.conf_path.clone()),
        };
        Master::find(&instance).map_err(backend("look for nginx in /proc"))
    }

    async fn remove_dead_sockets(&self) -> Result<(), ReloadError> {
        for socket in &self.options.unix_sockets {
            sockets::remove_dead(socket)
                .await
                .map_err(backend("remove a dead socket"))?;
        }
        Ok(())
    }

    /// Asks workers whose master was killed to finish, so that the next master
    /// gets their ports.
    async fn dismiss_orphans(&self) -> Result<(), ReloadError> {
        let Some(socket) = self.options.unix_sockets.first() else {
            return Ok(());
        };
        if !sockets::is_served(socket).await {
            return Ok(());
        }
        for pid in sockets::holders(socket) {
            if let Some(orphan) = worker_of_no_master(pid) {
                tracing::warn!(
                    pid,
                    "a worker of a killed nginx still serves, it is asked to quit"
                );
                kill(orphan, Signal::SIGQUIT).map_err(backend("signal an orphaned worker"))?;
            }
        }
        let asked = Instant::now();
        while sockets::is_served(socket).await && asked.elapsed() < ORPHANS {
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Runs the binary until it has put itself into the background.
    async fn launch(&self, deadline: Duration) -> Result<(), ReloadError> {
        // A file, not a pipe: a master that logs to standard error keeps it for good.
        let mut log = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&self.options.start_log)
            .map_err(backend("open the start log"))?;
        let own = log.try_clone().map_err(backend("open the start log"))?;
        let mut launched = command::command(&self.options.binary);
        launched.arg("-c").arg(&self.options.conf);
        if let Some(prefix) = &self.options.prefix {
            launched.arg("-p").arg(prefix);
        }
        launched.stderr(Stdio::from(own)).kill_on_drop(true);
        let mut child = launched.spawn().map_err(backend("run nginx"))?;
        let status = tokio::time::timeout(deadline, child.wait())
            .await
            .map_err(backend("put nginx into the background"))?
            .map_err(backend("run nginx"))?;
        if status.success() {
            return Ok(());
        }
        let mut said = Vec::new();
        io::Seek::rewind(&mut log)
            .and_then(|()| log.take(64 << 10).read_to_end(&mut said))
            .map_err(backend("read the start log"))?;
        let said = String::from_utf8_lossy(&said);
        Err(rejected(diagnostic::of(said.lines()), || {
            format!("nginx did not start: {status}")
        }))
    }
}

#[async_trait]
impl Reloader for SignalReloader {
    fn backend(&self) -> &'static str {
        "signal"
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        let mut test = command::command(&self.options.binary);
        test.env(CHECK_MEMORY.0, CHECK_MEMORY.1)
            .args(["-t", "-q"])
            .arg("-p")
            .arg(with_slash(&candidate.check_prefix))
            .arg("-c")
            .arg(&candidate.check_conf);
        // The flag came with 1.19.5; before, early errors go to the compiled-in log too.
        if self.build().await?.version >= SINCE_ERROR_LOG_FLAG {
            test.args(["-e", "stderr"]);
        }
        let finished = command::run(test, deadline)
            .await
            .map_err(backend("run nginx -t"))?;
        if finished.status.success() {
            return Ok(());
        }
        Err(rejected(diagnostic::of(finished.stderr.lines()), || {
            format!("nginx -t: {}", finished.status)
        }))
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let _turn = self.turn.lock().await;
        let master = self.master().await?.ok_or(ReloadError::NotRunning)?;
        self.remove_dead_sockets().await?;
        let (before, children) = (master.generation(), master.children());
        let mut turnover = Turnover::from(&before);
        let mut log = ErrorLog::at_end_of(&master, children.clone());
        match master.signal(Signal::SIGHUP) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ReloadError::NotRunning);
            }
            other => other.map_err(backend("send SIGHUP to nginx"))?,
        }
        let mut doubt = Doubt::default();
        let begun = Instant::now();
        while begun.elapsed() < deadline {
            sleep(if turnover.begun() {
                POLL_SETTLING
            } else {
                POLL.max(begun.elapsed() / POLL_PART)
            })
            .await;
            // The log first: a refusal seen now cannot belong to workers seen later.
            let says = log.read();
            if says == Says::Nothing && !before.workers.is_empty() && children == master.children()
            {
                continue;
            }
            let seen = master.generation();
            let complete = turnover.complete(Instant::now(), &seen);
            let missing = seen.workers.difference(&before.workers).count() < before.workers.len();
            if seen.workers.is_empty() && !master.is_alive() {
                return Err(ReloadError::NotRunning);
            }
            let refused = says == Says::Refused && !turnover.begun();
            let dying = says == Says::WorkersDie && (missing || seen.workers.is_empty());
            // A master that is awake may still be reading or forking.
            let borne_out = doubt.is_over((refused || dying) && master.is_asleep());
            if (refused || dying) && !borne_out {
                continue;
            }
            if borne_out {
                let diagnostic = log.diagnostic();
                return Err(if dying {
                    backend("keep the new workers alive")(diagnostic)
                } else if before.workers.is_empty() {
                    backend("bring workers back")(diagnostic)
                } else {
                    rejected(diagnostic, String::new)
                });
            }
            if complete {
                return Ok(seen);
            }
        }
        Err(ReloadError::NotConfirmed {
            waited: begun.elapsed(),
        })
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let _turn = self.turn.lock().await;
        let begun = Instant::now();
        if let Some(master) = self.master().await? {
            let seen = master.generation();
            if !seen.workers.is_empty() {
                return Ok(seen);
            }
        } else {
            self.dismiss_orphans().await?;
            self.remove_dead_sockets().await?;
            self.launch(deadline).await?;
        }
        let mut doubt = Doubt::default();
        let mut turnover: Option<(Master, ErrorLog, Turnover)> = None;
        while begun.elapsed() < deadline {
            match &mut turnover {
                Some((master, log, turnover)) => {
                    let seen = master.generation();
                    if turnover.complete(Instant::now(), &seen) {
                        return Ok(seen);
                    }
                    let die = log.read() == Says::WorkersDie;
                    if doubt.is_over(die && seen.workers.is_empty()) {
                        return Err(backend("keep the new workers alive")(log.diagnostic()));
                    }
                    if !master.is_alive() {
                        return Err(ReloadError::NotRunning);
                    }
                }
                None => {
                    turnover = self.master().await?.map(|master| {
                        let nobody = Generation {
                            master_pid: master.pid(),
                            workers: [].into(),
                            draining: 0,
                        };
                        let log = ErrorLog::at_end_of(&master, Vec::new());
                        (master, log, Turnover::from(&nobody))
                    });
                }
            }
            sleep(POLL_SETTLING).await;
        }
        Err(ReloadError::NotConfirmed {
            waited: begun.elapsed(),
        })
    }

    async fn running(&self) -> Result<Option<Generation>, ReloadError> {
        Ok(self.master().await?.map(|master| master.generation()))
    }
}

/// Doubt about what the error log says, as clients can forge its lines. It is
/// over once the processes have agreed with it without a break.
#[derive(Debug, Default)]
struct Doubt {
    agreed_since: Option<Instant>,
}

impl Doubt {
    fn is_over(&mut self, agreed: bool) -> bool {
        if !agreed {
            self.agreed_since = None;
            return false;
        }
        let since = *self.agreed_since.get_or_insert_with(Instant::now);
        since.elapsed() >= BORNE_OUT
    }
}

const SINCE_ERROR_LOG_FLAG: nxmesh_core::contract::renderer::NginxVersion =
    nxmesh_core::contract::renderer::NginxVersion {
        major: 1,
        minor: 19,
        patch: 5,
    };

/// nginx joins its prefix and relative names without a slash of its own
/// before 1.29.
fn with_slash(prefix: &Path) -> PathBuf {
    prefix.join("")
}

fn rejected(diagnostic: String, or: impl FnOnce() -> String) -> ReloadError {
    ReloadError::Rejected {
        diagnostic: if diagnostic.is_empty() {
            or()
        } else {
            diagnostic
        },
    }
}

fn backend<E: Into<BoxError>>(action: &'static str) -> impl FnOnce(E) -> ReloadError {
    move |source| ReloadError::Backend {
        backend: "signal",
        action,
        source: source.into(),
    }
}

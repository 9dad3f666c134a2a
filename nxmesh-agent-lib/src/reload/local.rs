//! An nginx of this machine: found in `/proc`, checked and started with its
//! binary.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::sys::signal::Signal;
use nxmesh_core::contract::{
    BoxError,
    reloader::{Candidate, ReloadError},
    renderer::NginxVersion,
};
use tokio::sync::OnceCell;

use super::{
    diagnostic,
    needs::{self, Unmet},
    proof::{self, rejected},
    sockets,
};
use crate::nginx::{Enter, Instance, Master, NginxBuild, command, enter::Run};

/// A check mostly takes fresh memory and gives it back: in huge pages, where
/// glibc and the kernel have them, that takes a fifth less time with 20 virtual
/// hosts and a third less with 3000 (glibc manual, "Memory Allocation Tunables").
const CHECK_MEMORY: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=4194304",
);
/// How long `nginx -V` may take.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);
/// The flag `-e` came with it; before, early errors go to the compiled-in log too.
pub(super) const SINCE_ERROR_LOG_FLAG: NginxVersion = NginxVersion {
    major: 1,
    minor: 19,
    patch: 5,
};
/// What is read of the start log.
const START_LOG_BYTES: u64 = 64 << 10;

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
    /// What the binary says of itself. Default: it is asked when that is needed.
    pub build: Option<NginxBuild>,
    /// From where the binary is run. Unless that is from here, whoever runs
    /// nginx's container starts nginx, and a start waits for that.
    pub enter: Enter,
}

/// What several backends do alike.
#[derive(Debug)]
pub(super) struct Local {
    /// The name of the backend, for errors.
    name: &'static str,
    pub(super) options: SignalOptions,
    build: OnceCell<NginxBuild>,
}

impl Local {
    pub(super) fn new(name: &'static str, options: SignalOptions) -> Self {
        Self {
            name,
            build: OnceCell::new_with(options.build.clone()),
            options,
        }
    }

    pub(super) fn failed<E: Into<BoxError>>(
        &self,
        action: &'static str,
    ) -> impl FnOnce(E) -> ReloadError {
        proof::backend(self.name, action)
    }

    /// What the binary says of itself; asked once.
    pub(super) async fn build(&self, nginx: Option<&Master>) -> Result<&NginxBuild, ReloadError> {
        let SignalOptions { binary, enter, .. } = &self.options;
        self.build
            .get_or_try_init(|| NginxBuild::ask_where(binary, enter, nginx, VERSION_DEADLINE))
            .await
            .map_err(self.failed("ask nginx for its version"))
    }

    pub(super) async fn find(&self) -> Result<Option<Master>, ReloadError> {
        let build = match self.options.enter {
            Enter::NotNeeded => Some(self.build(None).await?),
            // Nobody can be asked before nginx is found.
            _ => self.build.get(),
        };
        self.find_knowing(build)
    }

    /// As [`find`](Self::find), with or without knowledge of what is built in.
    pub(super) fn find_knowing(
        &self,
        build: Option<&NginxBuild>,
    ) -> Result<Option<Master>, ReloadError> {
        let pid_file = self.options.pid_file.clone();
        let shares_files = self.options.enter == Enter::NotNeeded;
        let instance = Instance {
            conf: self.options.conf.clone(),
            pid_file: pid_file.or_else(|| build.map(|build| build.pid_path.clone())),
            default_conf: build
                .filter(|_| shares_files)
                .map(|build| build.conf_path.clone()),
        };
        Master::find(&instance).map_err(self.failed("look for nginx in /proc"))
    }

    /// Looks whether the binary can be run and the nginx that runs be signalled.
    pub(super) async fn verify(&self) -> Result<(), Unmet> {
        let SignalOptions { binary, enter, .. } = &self.options;
        if let Enter::Command(words) = enter {
            needs::program("enter", words)?;
        }
        let unmet = |error: ReloadError| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            Unmet::new(
                format!("{error}{}", cause.unwrap_or_default()),
                format!("is {} nginx's binary?", binary.display()),
            )
        };
        let nginx = self.find().await.map_err(unmet)?;
        if let Some(nginx) = &nginx {
            needs::may_signal(nginx)?;
        }
        if let Enter::RootOfNginx { shared } = enter {
            needs::nginx_in_sight(nginx.as_ref(), &self.options.conf)?;
            if let Some(master) = &nginx {
                needs::may_enter(master)?;
                needs::shares(master, shared)?;
            }
        }
        if nginx.is_some() || !enter.needs_nginx() {
            self.build(nginx.as_ref()).await.map_err(unmet)?;
        }
        Ok(())
    }

    /// Runs `nginx -t` on `candidate`.
    pub(super) async fn check(
        &self,
        candidate: &Candidate,
        deadline: Duration,
    ) -> Result<(), ReloadError> {
        let nginx = match self.options.enter.needs_nginx() {
            true => self.find().await?,
            false => None,
        };
        let version = self.build(nginx.as_ref()).await?.version;
        let mut test = self.run(nginx.as_ref())?;
        test.command
            .env(CHECK_MEMORY.0, CHECK_MEMORY.1)
            .args(["-t", "-q"])
            .arg("-p")
            .arg(with_slash(&candidate.check_prefix))
            .arg("-c")
            .arg(&candidate.check_conf);
        if version >= SINCE_ERROR_LOG_FLAG {
            test.command.args(["-e", "stderr"]);
        }
        self.judge(test, deadline).await
    }

    /// Runs `nginx -t` on the configuration in place, as a start would read it,
    /// and opens, makes and tries what a start would: logs, folders, the pid
    /// file. Ports that are taken do not count. May leave an empty pid file where
    /// there is none.
    pub(super) async fn check_in_place(
        &self,
        nginx: Option<&Master>,
        deadline: Duration,
    ) -> Result<(), ReloadError> {
        let mut test = self.run(nginx)?;
        test.command
            .args(["-t", "-q", "-c"])
            .arg(&self.options.conf);
        if let Some(prefix) = &self.options.prefix {
            test.command.arg("-p").arg(with_slash(prefix));
        }
        self.judge(test, deadline).await
    }

    /// Whether [`launch`](Self::launch) would go through.
    pub(super) async fn would_launch(&self, deadline: Duration) -> Result<(), ReloadError> {
        let tried = async {
            self.start_log()?;
            self.check_in_place(None, deadline).await
        };
        tried.await.map_err(|error| self.would_not_start(&error))
    }

    /// As [`would_launch`](Self::would_launch), where somebody else starts nginx.
    pub(super) async fn would_start(&self, deadline: Duration) -> Result<(), ReloadError> {
        let nginx = match self.options.enter.needs_nginx() {
            true => match self.find().await? {
                // Where it is, nothing can be run now.
                None => return Ok(()),
                found => found,
            },
            false => None,
        };
        match self.check_in_place(nginx.as_ref(), deadline).await {
            Err(ReloadError::Rejected { diagnostic }) if is_forbidden(&diagnostic) => Ok(()),
            checked => checked.map_err(|error| self.would_not_start(&error)),
        }
    }

    /// What is told of a start that would fail for `error`.
    pub(super) fn would_not_start(&self, error: &ReloadError) -> ReloadError {
        let SignalOptions { binary, conf, .. } = &self.options;
        let (binary, conf) = (binary.display(), conf.display());
        proof::would_not_start(error, &format!("`{binary} -t -c {conf}` shows it"))
    }

    /// The end of the error log that the configuration in place names, where
    /// that is a file.
    pub(super) async fn end_of_log(&self) -> Option<super::error_log::End> {
        let build = self.build(None).await.ok()?;
        let text = std::fs::read_to_string(&self.options.conf).ok()?;
        let named = super::error_log::named_in(&text);
        let path = named.unwrap_or_else(|| build.error_log_path.clone());
        let prefix = self.options.prefix.as_deref().unwrap_or(&build.prefix);
        super::error_log::End::of(prefix.join(path))
    }

    fn run(&self, nginx: Option<&Master>) -> Result<Run, ReloadError> {
        let SignalOptions { binary, enter, .. } = &self.options;
        Run::new(binary, enter, nginx).map_err(self.failed("run nginx -t"))
    }

    async fn judge(&self, test: Run, deadline: Duration) -> Result<(), ReloadError> {
        let finished = test
            .finish(deadline)
            .await
            .map_err(self.failed("run nginx -t"))?;
        if finished.status.success() {
            return Ok(());
        }
        let (status, said) = (finished.status, &finished.stderr);
        Err(match diagnostic::judgement(status, said) {
            Some(diagnostic) => ReloadError::Rejected { diagnostic },
            None => self.failed("run nginx -t")(diagnostic::ended(status, said)),
        })
    }

    pub(super) async fn remove_dead_sockets(&self) -> Result<(), ReloadError> {
        for socket in &self.options.unix_sockets {
            sockets::remove_dead(socket)
                .await
                .map_err(self.failed("remove a dead socket"))?;
        }
        Ok(())
    }

    /// Sends SIGHUP to `master`; one that somebody has stopped goes on for it.
    pub(super) async fn hang_up(&self, master: &Master) -> Result<(), ReloadError> {
        self.remove_dead_sockets().await?;
        if master.generation().stopped {
            self.resume(Some(master))?;
        }
        match master.signal(Signal::SIGHUP) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReloadError::NotRunning),
            other => other.map_err(self.failed("send SIGHUP to nginx")),
        }
    }

    /// Runs the binary until it has put itself into the background.
    pub(super) async fn launch(&self, deadline: Duration) -> Result<(), ReloadError> {
        let (mut log, own) = self.start_log()?;
        let mut launched = command::command(&self.options.binary);
        launched.arg("-c").arg(&self.options.conf);
        if let Some(prefix) = &self.options.prefix {
            launched.arg("-p").arg(prefix);
        }
        launched.stderr(Stdio::from(own)).kill_on_drop(true);
        let mut child = launched.spawn().map_err(self.failed("run nginx"))?;
        let status = tokio::time::timeout(deadline, child.wait())
            .await
            .map_err(self.failed("put nginx into the background"))?
            .map_err(self.failed("run nginx"))?;
        if status.success() {
            return Ok(());
        }
        let said = self.read_start_log(&mut log)?;
        Err(rejected(diagnostic::of(said.lines()), || {
            format!("nginx did not start: {}", diagnostic::ended(status, &said))
        }))
    }

    /// The start log, empty, twice: to read and to be written. A file, not a
    /// pipe: a master that logs to standard error keeps it for good.
    pub(super) fn start_log(&self) -> Result<(File, File), ReloadError> {
        let log = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&self.options.start_log)
            .map_err(self.failed("open the start log"))?;
        let own = log.try_clone().map_err(self.failed("open the start log"))?;
        Ok((log, own))
    }

    pub(super) fn read_start_log(&self, log: &mut File) -> Result<String, ReloadError> {
        let mut said = Vec::new();
        io::Seek::rewind(log)
            .and_then(|()| log.take(START_LOG_BYTES).read_to_end(&mut said))
            .map_err(self.failed("read the start log"))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}

/// Whether nginx fails only for rights it has not got from here: whoever starts it
/// may have more.
fn is_forbidden(diagnostic: &str) -> bool {
    ["(13: Permission denied)", "(1: Operation not permitted)"]
        .iter()
        .any(|errno| diagnostic.contains(errno))
}

/// nginx joins its prefix and relative names without a slash of its own
/// before 1.29.
fn with_slash(prefix: &Path) -> PathBuf {
    prefix.join("")
}

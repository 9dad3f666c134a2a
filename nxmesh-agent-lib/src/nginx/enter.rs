//! Running nginx's binary where nginx lives.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use super::{
    command::{self, Finished},
    master::Master,
    namespace,
};

/// From where nginx's binary is run, for its version and for checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Enter {
    /// From here: nginx sees the files this process sees.
    #[default]
    NotNeeded,
    /// From the files that the running nginx sees, by way of `/proc/PID/root`:
    /// it lives in another container that shares its process ids with this one.
    /// Takes the rights CAP_SYS_CHROOT and CAP_SYS_PTRACE.
    RootOfNginx {
        /// Folders that both have to see under the same paths: volumes.
        shared: Vec<PathBuf>,
    },
    /// By a command before the binary: program and arguments, in which `{pid}`
    /// is the master process of nginx. For example
    /// `nsenter --target {pid} --mount --`.
    Command(Vec<String>),
}

impl Enter {
    /// Whether nginx has to run before its binary can be.
    #[must_use]
    pub fn needs_nginx(&self) -> bool {
        match self {
            Self::NotNeeded => false,
            Self::RootOfNginx { .. } => true,
            Self::Command(words) => words.iter().any(|word| word.contains("{pid}")),
        }
    }
}

/// nginx's binary, to be run with arguments.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) command: Command,
    root: Option<PathBuf>,
}

impl Run {
    /// # Errors
    ///
    /// If nginx has to run for that, and does not.
    pub(crate) fn new(binary: &Path, enter: &Enter, nginx: Option<&Master>) -> io::Result<Self> {
        let master = || {
            nginx.ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::NotFound,
                    "its binary is where nginx is, and nginx does not run",
                )
            })
        };
        let (command, root) = match enter {
            Enter::NotNeeded => (command::command(binary), None),
            Enter::RootOfNginx { .. } => (
                command::command(binary),
                Some(namespace::root_of(master()?.pid())),
            ),
            Enter::Command(words) => {
                let pid = if enter.needs_nginx() {
                    master()?.pid().to_string()
                } else {
                    String::new()
                };
                let mut words = words.iter().map(|word| word.replace("{pid}", &pid));
                let program = words.next().ok_or(io::ErrorKind::InvalidInput)?;
                let mut command = command::command(Path::new(&program));
                command.args(words).arg(binary);
                (command, None)
            }
        };
        Ok(Self { command, root })
    }

    /// Runs it to its end, for at most `deadline`.
    pub(crate) async fn finish(self, deadline: Duration) -> io::Result<Finished> {
        command::run_in(self.root, self.command, deadline).await
    }
}

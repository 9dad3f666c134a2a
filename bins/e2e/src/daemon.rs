//! One long-running process whose output goes to a file.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sandbox::Sandbox;
use crate::wait;

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
    /// Where in the log this process began; what is before is an earlier one's.
    begins: usize,
}

impl Daemon {
    /// Starts `command` with standard output and error appended to `log`, with none of the variables
    /// that configure our programs but those the command sets.
    ///
    /// # Errors
    ///
    /// When the log cannot be opened or the process not started.
    pub fn start(sandbox: &Sandbox, mut command: Command, log: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(log)
            .with_context(|| format!("could not open {}", log.display()))?;
        let begins = usize::try_from(file.metadata()?.len())?;
        let second = file.try_clone().context("could not copy a file handle")?;
        without_our_variables(&mut command);
        command.stdin(Stdio::null()).stdout(file).stderr(second);
        Ok(Self {
            child: sandbox.spawn(&mut command)?,
            log: log.to_owned(),
            begins,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn output(&self) -> Result<String> {
        let bytes = fs::read(&self.log)
            .with_context(|| format!("could not read {}", self.log.display()))?;
        let own = bytes.get(self.begins..).unwrap_or_default();
        Ok(String::from_utf8_lossy(own).into_owned())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .context("could not wait for a process")
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        wait::until("the process ends", || self.ended())
    }

    /// As [`wait`](Self::wait), with a patience of the caller's.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub fn wait_within(&mut self, patience: Duration) -> Result<ExitStatus> {
        wait::until_within(patience, "the process ends", || self.ended())
    }

    /// Kills it without warning and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it cannot be waited for.
    pub fn kill9(&mut self) -> Result<()> {
        self.child.kill().context("could not kill a process")?;
        self.child.wait().context("could not wait for a process")?;
        Ok(())
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not stop in time.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        let pid = Pid::from_raw(i32::try_from(self.pid())?);
        kill(pid, Signal::SIGTERM).context("could not signal a process")?;
        self.wait()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.kill9() {
            eprintln!("warning: {error:#}");
        }
    }
}

/// A developer's settings must not reach the programs under test.
pub(crate) fn without_our_variables(command: &mut Command) {
    let set: Vec<_> = command
        .get_envs()
        .map(|(name, _)| name.to_owned())
        .collect();
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy();
        let configures = ours.starts_with("NXMESH_")
            || ["DATABASE_URL", "REDIS_URL", "NOTIFY_SOCKET"].contains(&&*ours);
        if configures && !set.contains(&name) {
            command.env_remove(&name);
        }
    }
}

//! A temporary folder, and the end of every process that works in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A folder of its own under `/tmp`; when it is closed, every process with a file of it open or its
/// path on the command line is killed, together with its children, and the folder is removed.
///
/// So an nginx that an agent started, and workers whose master was killed, end as well. The path is
/// short: the path of a unix socket below it must not exceed 107 bytes.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// `None` once closed. Held while a process is started, so that none is missed.
    folder: Mutex<Option<TempDir>>,
}

impl Sandbox {
    /// Makes the folder.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("nx-")
            .tempdir_in("/tmp")
            .context("could not make a folder in /tmp")?;
        // The workers of an nginx that root starts belong to nobody, and have to get at their files.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), mode).context("could not open the folder for nginx")?;
        Ok(Self(Arc::new(Inner {
            path: folder.path().to_owned(),
            folder: Mutex::new(Some(folder)),
        })))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Starts a process.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or the sandbox is closed.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        let folder = self.0.folder.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(folder.is_some(), "everything is being stopped");
        let program = command.get_program().to_owned();
        command
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))
    }

    /// The processes that work here now, their children included.
    #[must_use]
    pub fn processes(&self) -> BTreeSet<i32> {
        processes_in(&self.0.path)
    }

    /// Ends every process and removes the folder; from then on nothing starts here. Does nothing the
    /// second time.
    ///
    /// # Errors
    ///
    /// When a process outlives its kill, or the folder cannot be removed.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }
}

/// The processes that have a file below `folder` open or its path on the command line, and their
/// children; without this one.
#[must_use]
pub fn processes_in(folder: &Path) -> BTreeSet<i32> {
    let own = Pid::this().as_raw();
    let mut all = running();
    all.retain(|process| process.pid != own);
    let mut ours: BTreeSet<i32> = all
        .iter()
        .filter(|process| process.works_in(folder))
        .map(|process| process.pid)
        .collect();
    // Children of children: as many rounds as the deepest family needs.
    loop {
        let before = ours.len();
        let children = all.iter().filter(|process| ours.contains(&process.parent));
        let children: Vec<i32> = children.map(|process| process.pid).collect();
        ours.extend(children);
        if ours.len() == before {
            return ours;
        }
    }
}

impl Inner {
    fn close(&self) -> Result<()> {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(taken) = folder.take() else {
            return Ok(());
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let processes = processes_in(&self.path);
            if processes.is_empty() {
                break;
            }
            if deadline < Instant::now() {
                bail!("processes that cannot be killed: {processes:?}");
            }
            for pid in processes {
                kill9(pid)?;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let path = taken.path().to_owned();
        taken
            .close()
            .with_context(|| format!("could not remove {}", path.display()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            eprintln!("warning: {error:#}");
        }
    }
}

/// Kills a process; one that ended by itself in the meantime is as good.
pub(crate) fn kill9(pid: i32) -> Result<()> {
    match kill(Pid::from_raw(pid), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("could not kill process {pid}")),
    }
}

struct Process {
    pid: i32,
    parent: i32,
}

impl Process {
    /// A process that has ended and was not waited for has neither command line nor files.
    fn works_in(&self, folder: &Path) -> bool {
        let proc = PathBuf::from(format!("/proc/{}", self.pid));
        let folder_text = folder.to_string_lossy();
        let named = fs::read(proc.join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&*folder_text));
        named
            || fs::read_dir(proc.join("fd")).is_ok_and(|files| {
                files
                    .flatten()
                    .filter_map(|file| fs::read_link(file.path()).ok())
                    .any(|target| target.starts_with(folder))
            })
    }
}

fn running() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in parentheses may hold anything, also spaces and parentheses.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            Some(Process {
                pid,
                parent: parent.parse().ok()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(sandbox: &Sandbox, script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir("/");
        sandbox.spawn(&mut command).unwrap()
    }

    #[test]
    fn closing_ends_a_process_its_orphan_and_the_folder() {
        let sandbox = Sandbox::new().unwrap();
        let other = Sandbox::new().unwrap();
        let log = sandbox.path().join("log");
        // The inner shell outlives the outer one and only its open file tells whose it is.
        let script = format!(
            "(sleep 600 >{0}; :) & (exec 3>{0}; exec sleep 600)",
            log.display()
        );
        let mut outer = sleeper(&sandbox, &script);
        let mut stranger = sleeper(&other, &format!("sleep 600; : {}", other.path().display()));
        crate::wait::until("the processes are seen", || {
            Ok((sandbox.processes().len() >= 2).then_some(()))
        })
        .unwrap();
        sandbox.close().unwrap();
        assert!(outer.wait().unwrap().code().is_none(), "was not killed");
        assert!(!sandbox.path().exists());
        assert!(sandbox.processes().is_empty());
        assert!(
            stranger.try_wait().unwrap().is_none(),
            "a stranger was killed"
        );
        other.close().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn nothing_starts_after_the_end() {
        let sandbox = Sandbox::new().unwrap();
        sandbox.close().unwrap();
        sandbox.close().unwrap();
        assert!(sandbox.spawn(&mut Command::new("true")).is_err());
    }
}

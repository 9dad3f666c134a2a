//! The processes of one nginx, told apart from every other nginx here.
//!
//! A pid file alone is never believed: it may be stale, empty, hold `0` or the
//! pid of something else. A process is the master of an instance only if it is
//! alive, is called what nginx calls a master, and was started with the
//! instance's configuration.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use nxmesh_core::contract::reloader::Generation;

use super::{
    instance::{Found, Instance, conf_in},
    namespace,
    process::{MASTER, NGINX, Process, Stat, WORKER, children, is_stopped, title},
};

/// The master process of an instance, verified when it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master(Process);

impl Master {
    /// Finds the master of `instance`; `None` if it does not run.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    pub fn find(instance: &Instance) -> io::Result<Option<Self>> {
        let claimed = instance.pid_file.as_deref().and_then(read_pid);
        if let Some(pid) = claimed
            && let Some(master) = Self::verify(pid, instance, true)
        {
            return Ok(Some(master));
        }
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
                && let Some(master) = Self::verify(pid, instance, false)
            {
                return Ok(Some(master));
            }
        }
        Ok(None)
    }

    /// The process `pid`, named by who started it, if it is a master of nginx.
    #[must_use]
    pub fn at(pid: u32) -> Option<Self> {
        title(pid)?.strip_prefix(MASTER)?;
        if is_other_program(pid) {
            return None;
        }
        Process::at(pid).map(Self)
    }

    /// All masters in sight, of whatever instance.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    pub fn all() -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let pid = entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            found.extend(pid.and_then(Self::at));
        }
        Ok(found)
    }

    fn verify(pid: u32, instance: &Instance, in_pid_file: bool) -> Option<Self> {
        let arguments = title(pid)?.strip_prefix(MASTER)?.trim().to_owned();
        let shares = namespace::shares_folder_of(pid, &instance.conf);
        let ours = match conf_in(&arguments, instance) {
            Found::Ours => shares != Some(false),
            Found::Unclear => {
                in_pid_file || (instance.default_conf.is_none() && shares == Some(true))
            }
            Found::Other => false,
        };
        // Nobody else is the first process where nginx is: it may be nginx.
        if pid == 0 || !ours {
            return None;
        }
        let owner = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
        let trusted = owner == 0
            || owner == geteuid().as_raw()
            || instance.pid_file.as_deref().and_then(owner_of) == Some(owner);
        if trusted { Self::at(pid) } else { None }
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Whether this very process still runs: not a later one with its number.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// Whether it waits for something to happen: it reads no configuration now.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        Stat::read(self.0.pid()).is_some_and(|stat| stat.asleep)
    }

    /// Sends a signal to this very process.
    ///
    /// # Errors
    ///
    /// `NotFound` if it is gone, else the system's own error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.0.signal(signal)
    }

    /// Whether this process has the right to [`signal`](Self::signal) it.
    #[must_use]
    pub fn may_be_signalled(&self) -> bool {
        let pid = i32::try_from(self.0.pid()).map(Pid::from_raw);
        pid.is_ok_and(|pid| kill(pid, None) != Err(nix::errno::Errno::EPERM))
    }

    /// Itself, and what it has started of its own kind: workers and managers of
    /// caches.
    pub(crate) fn family(&self) -> Vec<Process> {
        let is_nginx = |pid: &u32| title(*pid).is_some_and(|it| it.starts_with(NGINX));
        let children = self.children().into_iter().filter(is_nginx);
        let mut family = vec![self.0.clone()];
        family.extend(children.filter_map(Process::at));
        family
    }

    /// The processes it has started, whatever they are: cheap to compare.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        children(self.0.pid())
    }

    /// Its workers now. A process between its fork and its title is in neither
    /// group.
    #[must_use]
    pub fn generation(&self) -> Generation {
        let mut generation = Generation {
            master_pid: self.0.pid(),
            workers: BTreeSet::new(),
            draining: 0,
            stopped: is_stopped(self.0.pid()),
        };
        for child in children(self.0.pid()) {
            match title(child).as_deref().map(str::trim_end) {
                Some(WORKER) => {
                    generation.workers.insert(child);
                    generation.stopped |= is_stopped(child);
                }
                // Titles are cut where the process has little room for them.
                Some(title) if title.starts_with(WORKER) => generation.draining += 1,
                _ => {}
            }
        }
        generation
    }

    /// The error log it writes to, opened anew for reading; `None` where that
    /// is no file. What it writes while it reloads goes to the log it had before.
    #[must_use]
    pub fn error_log(&self) -> Option<File> {
        // nginx makes its standard error the error log.
        let path = format!("/proc/{}/fd/2", self.0.pid());
        let regular = fs::metadata(&path).is_ok_and(|metadata| metadata.is_file());
        regular.then(|| File::open(path).ok()).flatten()
    }

    /// The number it calls itself by: another one where it runs in a container.
    #[must_use]
    pub fn own_pid(&self) -> u32 {
        fs::read_to_string(format!("/proc/{}/status", self.0.pid()))
            .ok()
            .and_then(|status| {
                let line = status.lines().find(|line| line.starts_with("NSpid:"))?;
                line.split_whitespace().last()?.parse().ok()
            })
            .unwrap_or(self.0.pid())
    }
}

/// Readable for the owner only; a replaced binary reads `… (deleted)`.
fn is_other_program(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| {
        let name = exe.file_name().unwrap_or_default().to_string_lossy();
        !name.contains("nginx") && !name.contains("openresty")
    })
}

fn read_pid(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn owner_of(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|metadata| metadata.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_of_something_else_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let own = std::process::id().to_string();
        for text in ["", "0", "1", "-1", "garbage", "4294967295", own.as_str()] {
            fs::write(&pid_file, text).unwrap();
            let instance = Instance {
                pid_file: Some(pid_file.clone()),
                conf: "/nowhere/nginx.conf".into(),
                default_conf: None,
            };
            assert_eq!(Master::find(&instance).unwrap(), None, "{text}");
        }
    }
}

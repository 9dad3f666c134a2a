//! Processes as the kernel shows them (proc(5)).

use std::{fs, io};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// What the titles of all processes of nginx begin with.
pub(super) const NGINX: &str = "nginx: ";
pub(crate) const MASTER: &str = "nginx: master process";
pub(crate) const WORKER: &str = "nginx: worker process";

/// One process: not a later one with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pid: u32,
    started: u64,
}

impl Process {
    /// The process `pid`; `None` if it has ended.
    pub(crate) fn at(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        let started = stat.started;
        stat.alive.then_some(Self { pid, started })
    }

    /// Its process id.
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        Self::at(self.pid).as_ref() == Some(self)
    }

    /// Sends it a signal; `NotFound` if it is gone.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        if !self.is_alive() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let pid = i32::try_from(self.pid).map_err(io::Error::other)?;
        kill(Pid::from_raw(pid), signal).map_err(|error| match error {
            nix::errno::Errno::ESRCH => io::ErrorKind::NotFound.into(),
            error => error.into(),
        })
    }
}

/// `pid` as a worker of nginx that no master looks after any more; `None` if
/// it is anything else.
pub(crate) fn worker_of_no_master(pid: u32) -> Option<Process> {
    let is_worker = title(pid)?.trim_end() == WORKER;
    let parent = Stat::read(pid)?.parent;
    let has_master = title(parent).is_some_and(|title| title.starts_with(MASTER));
    (is_worker && !has_master && pid > 1)
        .then(|| Process::at(pid))
        .flatten()
}

/// What a process calls itself; `None` for one that is gone or a zombie.
pub(super) fn title(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    (!text.trim().is_empty()).then_some(text)
}

pub(super) fn children(pid: u32) -> Vec<u32> {
    match fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) {
        Ok(list) => list
            .split_whitespace()
            .filter_map(|child| child.parse().ok())
            .collect(),
        // Kernels without CONFIG_PROC_CHILDREN.
        Err(_) => fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|&child| Stat::read(child).is_some_and(|stat| stat.parent == pid))
            .collect(),
    }
}

pub(super) fn is_stopped(pid: u32) -> bool {
    Stat::read(pid).is_some_and(|stat| stat.stopped)
}

/// The part of `/proc/<pid>/stat` that identifies a process (proc(5)).
pub(super) struct Stat {
    alive: bool,
    pub(super) asleep: bool,
    /// By a signal; what a debugger holds is in state `t`.
    stopped: bool,
    parent: u32,
    started: u64,
}

impl Stat {
    pub(super) fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        Some(Self {
            alive: !matches!(state, "Z" | "X" | "x"),
            asleep: state == "S",
            stopped: state == "T",
            parent: fields.next()?.parse().ok()?,
            started: fields.nth(17)?.parse().ok()?,
        })
    }
}

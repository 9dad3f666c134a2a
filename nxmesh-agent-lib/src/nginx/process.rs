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
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use nxmesh_core::contract::reloader::Generation;

use super::namespace;

/// What the titles of all its processes begin with.
const NGINX: &str = "nginx: ";
pub(crate) const MASTER: &str = "nginx: master process";
pub(crate) const WORKER: &str = "nginx: worker process";

/// What tells one nginx from another on the same machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The configuration it runs with, absolute: its `-c`.
    pub conf: PathBuf,
    /// Where it is expected to write its pid, if known.
    pub pid_file: Option<PathBuf>,
    /// The configuration the binary reads without `-c`, if known.
    pub default_conf: Option<PathBuf>,
}

/// The master process of an instance, verified when it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master(Process);

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
        self.0.pid
    }

    /// Whether this very process still runs: not a later one with its number.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// Whether it waits for something to happen: it reads no configuration now.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        Stat::read(self.0.pid).is_some_and(|stat| stat.asleep)
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
        let pid = i32::try_from(self.0.pid).map(Pid::from_raw);
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
        children(self.0.pid)
    }

    /// Its workers now. A process between its fork and its title is in neither
    /// group.
    #[must_use]
    pub fn generation(&self) -> Generation {
        let mut generation = Generation {
            master_pid: self.0.pid,
            workers: BTreeSet::new(),
            draining: 0,
        };
        for child in children(self.0.pid) {
            match title(child).as_deref().map(str::trim_end) {
                Some(WORKER) => {
                    generation.workers.insert(child);
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
        let path = format!("/proc/{}/fd/2", self.0.pid);
        let regular = fs::metadata(&path).is_ok_and(|metadata| metadata.is_file());
        regular.then(|| File::open(path).ok()).flatten()
    }

    /// The number it calls itself by: another one where it runs in a container.
    #[must_use]
    pub fn own_pid(&self) -> u32 {
        fs::read_to_string(format!("/proc/{}/status", self.0.pid))
            .ok()
            .and_then(|status| {
                let line = status.lines().find(|line| line.starts_with("NSpid:"))?;
                line.split_whitespace().last()?.parse().ok()
            })
            .unwrap_or(self.0.pid)
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

/// Whose configuration the arguments in a master's title name.
enum Found {
    Ours,
    Unclear,
    Other,
}

fn conf_in(arguments: &str, instance: &Instance) -> Found {
    let conf = instance.conf.to_string_lossy();
    if let Some((_, rest)) = arguments.split_once(&format!("-c {conf}"))
        && (rest.is_empty() || rest.starts_with(' '))
    {
        return Found::Ours;
    }
    let mut words = arguments.split(' ').filter(|word| !word.is_empty());
    let (mut named, mut prefix) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "-c" => named = words.next(),
            "-p" => prefix = words.next(),
            _ => {}
        }
    }
    let Some(named) = named else {
        let by_default = instance.default_conf.as_ref() == Some(&instance.conf);
        return if by_default && prefix.is_none() {
            Found::Ours
        } else {
            Found::Unclear
        };
    };
    let absolute = prefix.map_or_else(
        || PathBuf::from(named),
        |prefix| Path::new(prefix).join(named),
    );
    let same = fs::canonicalize(&absolute)
        .is_ok_and(|path| fs::canonicalize(&instance.conf).is_ok_and(|ours| ours == path));
    if same {
        Found::Ours
    } else if arguments.ends_with(named) && conf.starts_with(named) {
        Found::Unclear
    } else {
        Found::Other
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

/// What a process calls itself; `None` for one that is gone or a zombie.
fn title(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    (!text.trim().is_empty()).then_some(text)
}

fn children(pid: u32) -> Vec<u32> {
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

/// The part of `/proc/<pid>/stat` that identifies a process (proc(5)).
struct Stat {
    alive: bool,
    asleep: bool,
    parent: u32,
    started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        Some(Self {
            alive: !matches!(state, "Z" | "X" | "x"),
            asleep: state == "S",
            parent: fields.next()?.parse().ok()?,
            started: fields.nth(17)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(conf: &str) -> Instance {
        Instance {
            conf: conf.into(),
            pid_file: None,
            default_conf: Some("/etc/nginx/nginx.conf".into()),
        }
    }

    #[test]
    fn masters_are_told_apart_by_their_configuration() {
        let ours = instance("/srv/a/nginx.conf");
        for (arguments, expected) in [
            ("nginx -c /srv/a/nginx.conf", true),
            (
                "/usr/sbin/nginx -p /srv/a/ -c /srv/a/nginx.conf -g daemon on;",
                true,
            ),
            ("nginx -c /srv/a/nginx.conf2", false),
            ("nginx -c /srv/b/nginx.conf", false),
            ("nginx -g daemon on;", false),
            ("nginx", false),
        ] {
            let found = matches!(conf_in(arguments, &ours), Found::Ours);
            assert_eq!(found, expected, "{arguments}");
        }
        let default = instance("/etc/nginx/nginx.conf");
        assert!(matches!(
            conf_in("nginx -g daemon on;", &default),
            Found::Ours
        ));
        assert!(matches!(
            conf_in("nginx -p /tmp/x", &default),
            Found::Unclear
        ));
    }

    #[test]
    fn a_cut_title_is_believed_only_with_the_pid_file() {
        let ours = instance("/srv/a/nginx.conf");
        assert!(matches!(
            conf_in("nginx -c /srv/a/ng", &ours),
            Found::Unclear
        ));
    }

    #[test]
    fn a_pid_file_of_something_else_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let own = std::process::id().to_string();
        for text in ["", "0", "1", "-1", "garbage", "4294967295", own.as_str()] {
            fs::write(&pid_file, text).unwrap();
            let instance = Instance {
                pid_file: Some(pid_file.clone()),
                ..instance("/nowhere/nginx.conf")
            };
            assert_eq!(Master::find(&instance).unwrap(), None, "{text}");
        }
    }
}

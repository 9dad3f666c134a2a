//! The processes of a container, and the nginx among them.

use nxmesh_core::contract::reloader::Generation;

use super::{answers::Top, docker::DockerError};
use crate::nginx::process::{MASTER, WORKER};

/// First processes that pass signals on to the one they look after.
const INITS: [&str; 4] = ["docker-init", "tini", "dumb-init", "catatonit"];

/// What `top` lists: process ids as the engine's machine counts.
#[derive(Debug, Clone)]
pub(super) struct Table {
    first: u32,
    processes: Vec<Process>,
}

#[derive(Debug, Clone)]
struct Process {
    pid: u32,
    parent: u32,
    asleep: bool,
    stopped: bool,
    title: String,
}

impl Table {
    /// Reads the columns by their titles. `first` is the container's process.
    pub(super) fn read(top: &Top, first: u32) -> Result<Self, DockerError> {
        let column = |names: &[&str]| {
            let found = top
                .titles
                .iter()
                .position(|it| names.contains(&it.as_str()));
            found.ok_or_else(|| {
                DockerError::NotUnderstood(format!("`top` has no column {}", names.join(" or ")))
            })
        };
        let (pid, parent) = (column(&["PID"])?, column(&["PPID"])?);
        let state = column(&["STAT", "S"])?;
        let title = column(&["COMMAND", "CMD", "ARGS"])?;
        let read = |row: &Vec<String>| {
            let state = row.get(state)?;
            Some(Process {
                pid: row.get(pid)?.parse().ok()?,
                parent: row.get(parent)?.parse().ok()?,
                asleep: state.starts_with('S'),
                stopped: state.starts_with('T'),
                title: row.get(title..)?.join(" "),
            })
            .filter(|_| !state.starts_with(['Z', 'X']))
        };
        Ok(Self {
            first,
            processes: top.processes.iter().filter_map(read).collect(),
        })
    }

    /// The master process; `None` if there is none.
    pub(super) fn master(&self) -> Result<Option<u32>, String> {
        let masters: Vec<&Process> = self
            .processes
            .iter()
            .filter(|it| it.title.starts_with(MASTER))
            .collect();
        // The next binary of a replaced one is a child of its master.
        let is_child = |it: &Process| masters.iter().any(|other| other.pid == it.parent);
        let outermost: Vec<u32> = masters
            .iter()
            .filter(|it| !is_child(it))
            .map(|it| it.pid)
            .collect();
        match outermost[..] {
            [] => Ok(None),
            [pid] => Ok(Some(pid)),
            _ => Err(format!("{} nginx run in it", outermost.len())),
        }
    }

    /// Whether a signal to the container reaches nginx; else its first process.
    pub(super) fn takes_signals(&self) -> Result<(), String> {
        let first = self.processes.iter().find(|it| it.pid == self.first);
        let title = first.map_or("", |first| first.title.as_str());
        let program = title.split(' ').next().unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or_default();
        if title.starts_with("nginx") || name == "nginx" || INITS.contains(&name) {
            return Ok(());
        }
        Err(title.to_owned())
    }

    /// Of the arguments of a master, what tells its configuration: `-c` and `-p`.
    pub(super) fn named(&self, master: u32) -> Vec<String> {
        let title = self.processes.iter().find(|it| it.pid == master);
        let arguments = title.and_then(|it| it.title.strip_prefix(MASTER));
        let words: Vec<&str> = arguments.unwrap_or_default().split_whitespace().collect();
        let pairs = words
            .windows(2)
            .filter(|pair| ["-c", "-p"].contains(&pair[0]));
        pairs.flatten().map(|word| (*word).to_owned()).collect()
    }

    /// The processes it has started.
    pub(super) fn children(&self, of: u32) -> impl Iterator<Item = u32> {
        self.started_by(of).map(|it| it.pid)
    }

    pub(super) fn has(&self, pid: u32) -> bool {
        self.processes.iter().any(|it| it.pid == pid)
    }

    pub(super) fn is_asleep(&self, pid: u32) -> bool {
        let mut processes = self.processes.iter();
        processes.any(|it| it.pid == pid && it.asleep)
    }

    fn started_by(&self, pid: u32) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |it| it.parent == pid)
    }

    /// The workers of a master.
    pub(super) fn generation(&self, master: u32) -> Generation {
        let workers = || {
            self.started_by(master)
                .filter(|it| it.title.starts_with(WORKER))
        };
        let is_serving = |it: &&Process| it.title.trim_end() == WORKER;
        let mut masters = self.processes.iter().filter(|it| it.pid == master);
        Generation {
            master_pid: master,
            workers: workers().filter(is_serving).map(|it| it.pid).collect(),
            draining: workers().filter(|it| !is_serving(it)).count(),
            stopped: masters.any(|it| it.stopped)
                || workers().filter(is_serving).any(|it| it.stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(first: u32, rows: &[(u32, u32, &str, &str)]) -> Table {
        let processes = rows.iter().map(|(pid, parent, state, title)| {
            vec![
                pid.to_string(),
                parent.to_string(),
                (*state).to_owned(),
                (*title).to_owned(),
            ]
        });
        let top = Top {
            titles: ["PID", "PPID", "STAT", "COMMAND"].map(str::to_owned).into(),
            processes: processes.collect(),
        };
        Table::read(&top, first).unwrap()
    }

    #[test]
    fn workers_are_counted_by_their_titles() {
        let table = table(
            7,
            &[
                (7, 1, "Ss", "nginx: master process nginx -g daemon off;"),
                (8, 7, "S", "nginx: worker process"),
                (9, 7, "S", "nginx: worker process is shutting down"),
                (10, 7, "S", "nginx: cache manager process"),
                (11, 7, "Z", "nginx: worker process"),
                (12, 99, "S", "nginx: worker process"),
            ],
        );
        assert_eq!(table.master(), Ok(Some(7)));
        assert_eq!(table.takes_signals(), Ok(()));
        let generation = table.generation(7);
        assert_eq!(generation.workers, [8].into());
        assert_eq!(generation.draining, 1);
        assert!(!generation.stopped);
    }

    #[test]
    fn what_somebody_stopped_is_told_from_what_a_debugger_holds() {
        let stopped = |master: &str, worker: &str| {
            let rows = [
                (7, 1, master, "nginx: master process nginx"),
                (8, 7, worker, "nginx: worker process"),
            ];
            table(7, &rows).generation(7).stopped
        };
        assert!(stopped("Ts", "S") && stopped("Ss", "T"));
        assert!(!stopped("ts", "S") && !stopped("Ss", "R"));
    }

    #[test]
    fn one_master_is_chosen_or_none() {
        let master = "nginx: master process nginx";
        assert_eq!(
            table(7, &[(7, 1, "Ss", "nginx -g daemon off;")]).master(),
            Ok(None)
        );
        // A binary being replaced.
        let replaced = table(7, &[(7, 1, "Ss", master), (9, 7, "S", master)]);
        assert_eq!(replaced.master(), Ok(Some(7)));
        let two = table(7, &[(8, 7, "S", master), (9, 7, "S", master)]);
        assert!(two.master().is_err());
    }

    #[test]
    fn a_master_names_its_configuration() {
        let named = |title: &str| table(7, &[(7, 1, "Ss", title)]).named(7);
        assert!(named("nginx: master process nginx -g daemon off;").is_empty());
        assert_eq!(
            named("nginx: master process nginx -c /a.conf -g daemon off; -p /b"),
            ["-c", "/a.conf", "-p", "/b"]
        );
    }

    #[test]
    fn a_shell_passes_no_signals_on() {
        let under = |first: &str| table(7, &[(7, 1, "Ss", first)]).takes_signals();
        assert_eq!(under("/sbin/docker-init -- nginx"), Ok(()));
        assert_eq!(under("/usr/sbin/nginx -g daemon off;"), Ok(()));
        assert_eq!(under("sh -c nginx"), Err("sh -c nginx".to_owned()));
    }

    #[test]
    fn other_columns_are_not_misread() {
        let top = Top {
            titles: vec!["UID".to_owned(), "PID".to_owned()],
            processes: vec![],
        };
        assert!(Table::read(&top, 1).is_err());
    }
}

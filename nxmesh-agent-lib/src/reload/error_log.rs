//! Following the error log of a master while it reloads.

use std::{
    fmt,
    fs::File,
    io::{Read, Seek as _, SeekFrom},
    path::PathBuf,
};

use super::diagnostic;
use crate::nginx::Master;

/// How much is read at once, and the longest line that is understood.
const CHUNK_BYTES: u64 = 64 << 10;
/// How many lines are remembered.
const LINES: usize = 64;

/// What the log says about the reload so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// Nothing that ends it.
    Nothing,
    /// The configuration was refused and the workers stay.
    Refused,
    /// The configuration was taken and its workers cannot live.
    WorkersDie,
}

/// The part of an error log written since this was made, as far as the master
/// seems to have written it. A hint only: the log may be full, moved, or no
/// file, and clients can forge lines of it, as nginx logs the paths of files
/// with the line breaks a request put into them.
#[derive(Debug)]
pub(super) struct ErrorLog {
    sources: Vec<Source>,
    /// `] 123#`, as the master's lines have it.
    mark: String,
    /// Processes from before the reload; how they end says nothing about it.
    /// nginx may come to tell of them late.
    earlier: Vec<u32>,
    lines: Vec<String>,
    says: Says,
}

/// Somewhere the log is read; what cannot be read cannot tell.
struct Source {
    log: Box<dyn Read + Send + Sync>,
    /// The line that is not whole yet.
    partial: Vec<u8>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl ErrorLog {
    /// Starts at the end of what `master` has written. `earlier` are the
    /// children it had just before.
    pub(super) fn at_end_of(master: &Master, earlier: Vec<u32>) -> Self {
        let file = master
            .error_log()
            .and_then(|mut file| file.seek(SeekFrom::End(0)).ok().map(|_| file));
        Self::new(file, master.own_pid(), earlier)
    }

    /// Reads `file` from where it stands. The master calls itself `pid`.
    pub(super) fn new(file: Option<File>, pid: u32, earlier: Vec<u32>) -> Self {
        let mut log = Self {
            sources: Vec::new(),
            earlier,
            mark: format!("] {pid}#"),
            lines: Vec::new(),
            says: Says::Nothing,
        };
        if let Some(file) = file {
            log.follow(file);
        }
        log
    }

    /// A log that cannot be read.
    pub(super) fn silent() -> Self {
        Self::new(None, 0, Vec::new())
    }

    /// Reads `log` as well, which must not wait for more.
    pub(super) fn follow(&mut self, log: impl Read + Send + Sync + 'static) {
        self.sources.push(Source {
            log: Box::new(log),
            partial: Vec::new(),
        });
    }

    /// Reads what is new.
    pub(super) fn read(&mut self) -> Says {
        let mut lines = Vec::new();
        for source in &mut self.sources {
            let mut chunk = Vec::new();
            let read = (&mut source.log).take(CHUNK_BYTES).read_to_end(&mut chunk);
            // The processes still tell.
            if read.is_err() {
                continue;
            }
            for byte in chunk {
                if byte != b'\n' {
                    if source.partial.len() < CHUNK_BYTES as usize {
                        source.partial.push(byte);
                    }
                    continue;
                }
                lines.push(String::from_utf8_lossy(&source.partial).into_owned());
                source.partial.clear();
            }
        }
        lines.into_iter().for_each(|line| self.take(line));
        self.says
    }

    fn take(&mut self, line: String) {
        // The time has no bracket; what a client can have written comes after.
        let level = line.split_once(" [").and_then(|(_, rest)| {
            let (level, _) = rest.split_once(&self.mark)?;
            Some(level)
        });
        let says = match level {
            // Tried five times, half a second apart; then "still could not bind()".
            Some("emerg") if line.contains("failed (98:") => Says::Nothing,
            Some("emerg") => Says::Refused,
            Some("alert") if line.contains("mmap(") => Says::Refused,
            Some("alert") if line.contains("fork() failed") || self.tells_of_a_death(&line) => {
                Says::WorkersDie
            }
            _ => return,
        };
        if self.lines.len() < LINES {
            self.lines.push(line);
        }
        if self.says != Says::WorkersDie && says != Says::Nothing {
            self.says = says;
        }
    }

    fn tells_of_a_death(&self, line: &str) -> bool {
        let died = line.split_once(" process ").and_then(|(_, rest)| {
            let (pid, how) = rest.split_once(' ')?;
            how.contains("cannot be respawned")
                .then(|| pid.parse().ok())?
        });
        died.is_some_and(|pid: u32| !self.earlier.contains(&pid))
    }

    /// What the master said, for people.
    pub(super) fn diagnostic(&self) -> String {
        diagnostic::of(self.lines.iter().map(String::as_str))
    }
}

/// The error log of the main block; `None` where the built-in one is used, or
/// what it names is no file.
pub(super) fn named_in(conf: &str) -> Option<PathBuf> {
    let conf = nxmesh_core::syntax::parse(conf).ok()?;
    let mut logs = conf
        .directives()
        .iter()
        .filter(|it| it.name() == "error_log");
    let path = logs.next()?.arguments().first()?.value();
    let is_file = !["stderr", "syslog:", "memory:"]
        .iter()
        .any(|it| path.starts_with(it));
    is_file.then(|| path.into())
}

/// The end of a log, for what is written after it by an nginx that is not seen.
#[derive(Debug, Clone)]
pub(super) struct End {
    path: PathBuf,
    at: u64,
}

impl End {
    /// A log that is not there yet ends at its beginning.
    pub(super) fn of(path: PathBuf) -> Option<Self> {
        let at = match path.metadata() {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return None,
            Err(_) => 0,
        };
        Some(Self { path, at })
    }

    /// What was written since, for people.
    pub(super) fn diagnostic_since(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            // Shorter than before: begun anew.
            let is_longer = file.metadata()?.len() >= self.at;
            file.seek(SeekFrom::Start(if is_longer { self.at } else { 0 }))?;
            let mut said = Vec::new();
            file.take(CHUNK_BYTES).read_to_end(&mut said)?;
            Ok(said)
        };
        let said = read().unwrap_or_default();
        diagnostic::of(String::from_utf8_lossy(&said).lines())
    }
}

#[cfg(test)]
mod tests;

//! Following the error log of a master while it reloads.

use std::{
    fmt,
    fs::File,
    io::{Read, Seek as _, SeekFrom},
    path::PathBuf,
};

use super::diagnostic;
use crate::nginx::process::Master;

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
mod tests {
    use super::*;
    use std::io::Write as _;

    fn log() -> (File, ErrorLog) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reader = file.reopen().unwrap();
        (file.into_file(), ErrorLog::new(Some(reader), 7, vec![3]))
    }

    #[test]
    fn the_log_of_the_main_block_is_found() {
        let named = |conf: &str| named_in(conf).map(|path| path.display().to_string());
        let conf = "events {}\nerror_log \"/var/log/a b.log\" warn;\nhttp { error_log /x; }";
        assert_eq!(named(conf), Some("/var/log/a b.log".to_owned()));
        for none in [
            "http { error_log /x; }",
            "error_log stderr;",
            "error_log syslog:server=a;",
            "{",
        ] {
            assert_eq!(named(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_written_after_an_end_is_told_even_in_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "2026/11/23 14:48:40 [emerg] 8#8: old\n").unwrap();
        let end = End::of(path.clone()).unwrap();
        assert_eq!(end.diagnostic_since(), "");
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"2026/11/23 14:48:41 [emerg] 9#9: bind() failed\n")
            .unwrap();
        assert_eq!(end.diagnostic_since(), "[emerg] bind() failed");
        std::fs::write(&path, "2026/11/23 14:49:00 [emerg] 9#9: new\n").unwrap();
        let end = End { at: 10_000, ..end };
        assert_eq!(end.diagnostic_since(), "[emerg] new");
    }

    #[test]
    fn only_lines_of_the_master_count_and_only_whole_ones() {
        let (mut file, mut log) = log();
        file.write_all(b"2026/11/23 14:48:40 [emerg] 8#8: unknown directive\n")
            .unwrap();
        file.write_all(b"2026/11/23 14:48:40 [emerg] 7#7: unknown dir")
            .unwrap();
        assert_eq!(log.read(), Says::Nothing);
        file.write_all(b"ective \"foo\"\n").unwrap();
        assert_eq!(log.read(), Says::Refused);
        assert_eq!(log.diagnostic(), "[emerg] unknown directive \"foo\"");
    }

    #[test]
    fn what_stands_in_another_processs_line_does_not_count() {
        let (mut file, mut log) = log();
        let forged = b"2026/11/23 14:48:40 [error] 8#8: *1 open() \"/srv/[emerg] 7#7: x\" failed\n";
        file.write_all(forged).unwrap();
        assert_eq!(log.read(), Says::Nothing);
    }

    #[test]
    fn a_taken_port_is_final_only_after_the_last_try() {
        let (mut file, mut log) = log();
        let tried = b"x [emerg] 7#7: bind() to 127.0.0.1:80 failed (98: Address already in use)\n";
        file.write_all(&tried.repeat(5)).unwrap();
        assert_eq!(log.read(), Says::Nothing);
        file.write_all(b"x [emerg] 7#7: still could not bind()\n")
            .unwrap();
        assert_eq!(log.read(), Says::Refused);
        assert_eq!(
            log.diagnostic(),
            "[emerg] bind() to 127.0.0.1:80 failed (98: Address already in use)\n\
             [emerg] still could not bind()"
        );
    }

    #[test]
    fn dying_workers_are_told_from_a_refusal() {
        let (mut file, mut log) = log();
        let earlier =
            b"x [alert] 7#7: worker process 3 exited with fatal code 2 and cannot be respawned\n";
        file.write_all(earlier).unwrap();
        assert_eq!(log.read(), Says::Nothing, "it was there before");
        file.write_all(
            b"x [alert] 7#7: worker process 9 exited with fatal code 2 and cannot be respawned\n",
        )
        .unwrap();
        assert_eq!(log.read(), Says::WorkersDie);
        file.write_all(b"x [emerg] 7#7: open() failed\n").unwrap();
        assert_eq!(log.read(), Says::WorkersDie);
    }
}

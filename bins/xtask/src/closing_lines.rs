//! Passes a test runner's output through and keeps the lines it closes with.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long output may still come after the runner's end. A process that a test left behind may
/// hold the pipe open for ever.
const AFTER_END: Duration = Duration::from_secs(2);

/// How a runner ended.
pub(crate) struct Ended {
    pub(crate) success: bool,
    /// As the runner wrote them, without the line ends.
    pub(crate) closing_lines: Vec<String>,
}

/// Runs cargo's or nextest's test command, showing its output as it comes.
pub(crate) fn run(mut command: Command) -> Result<Ended> {
    if io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    run_showing_at(command, io::stdout())
}

fn run_showing_at(mut command: Command, mut show: impl Write + Send + 'static) -> Result<Ended> {
    let (reader, writer) = io::pipe().context("could not make a pipe")?;
    // One pipe for both keeps the order of the lines.
    let second = writer.try_clone().context("could not copy a pipe")?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second);
    let mut child = command.spawn().context("could not start the test runner")?;
    // The command holds our copies of the pipe's end.
    drop(command);

    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            // Whoever closes our output early, as `head` does, still gets a verdict.
            drop(writeln!(show, "{line}"));
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let status = child.wait().context("could not wait for the test runner")?;
    let mut kept = Kept::default();
    while let Ok(line) = receive.recv_timeout(AFTER_END) {
        kept.see(line);
    }
    Ok(Ended {
        success: status.success(),
        closing_lines: kept.lines,
    })
}

/// Chooses the closing lines: nextest's from its summary on; of libtest each failed test and each
/// result, with the name of the binary before it.
#[derive(Default)]
struct Kept {
    lines: Vec<String>,
    in_summary: bool,
    binary: Option<String>,
}

impl Kept {
    fn see(&mut self, line: String) {
        let plain = without_colour(&line);
        let plain = plain.trim();
        self.in_summary |= plain.starts_with("Summary [");
        let is_failure = plain.starts_with("test ") && plain.ends_with(" FAILED");
        if plain.starts_with("Running ") || plain.starts_with("Doc-tests ") {
            self.binary = Some(line);
        } else if self.in_summary || is_failure || plain.starts_with("test result: ") {
            self.lines.extend(self.binary.take());
            self.lines.push(line);
        }
    }
}

/// The line without its `ESC [ … letter` sequences.
fn without_colour(line: &str) -> String {
    let mut pieces = line.split("\u{1b}[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(piece.len(), |at| at + 1);
        plain.push_str(&piece[end..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(output: &str) -> Vec<String> {
        let mut kept = Kept::default();
        output.lines().for_each(|line| kept.see(line.to_owned()));
        kept.lines
    }

    #[test]
    fn of_nextest_the_summary_and_what_follows_is_kept() {
        let output = "\
        PASS [   0.004s] (1/2) nxmesh-core a
        FAIL [   0.004s] (2/2) nxmesh-core b
────────────
\u{1b}[31;1m     Summary\u{1b}[0m [   0.010s] 2 tests run: 1 passed, 1 failed, 0 skipped
        FAIL [   0.004s] (2/2) nxmesh-core b
error: test run failed";
        let lines = kept(output);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("1 passed, 1 failed"));
        assert_eq!(lines[2], "error: test run failed");
    }

    #[test]
    fn of_libtest_results_and_failures_are_kept_with_their_binary() {
        let output = "\
     Running unittests src/lib.rs (target/debug/deps/nxmesh_core-1)
running 2 tests
test a ... ok
test b ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored
   Doc-tests nxmesh_core
test result: ok. 3 passed; 0 failed; 0 ignored";
        let lines = kept(output);
        let starts: Vec<_> = lines
            .iter()
            .map(|line| line.trim().split(' ').next())
            .collect();
        assert_eq!(
            starts,
            ["Running", "test", "test", "Doc-tests", "test"].map(Some),
            "{lines:?}"
        );
    }

    #[test]
    fn output_and_verdict_of_a_command_are_seen() {
        let mut command = Command::new("sh");
        // The sleeper keeps the pipe, as a server does that a test forgot.
        command.args(["-c", "sleep 9 & echo 'test result: FAILED.' >&2; exit 3"]);
        let ended = run_showing_at(command, io::sink()).unwrap();
        assert!(!ended.success);
        assert_eq!(ended.closing_lines, ["test result: FAILED."]);
    }
}

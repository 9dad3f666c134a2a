//! The demonstration ends as it promises.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nxmesh_e2e::sandbox::processes_in;
use nxmesh_e2e::wait;

fn demo(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_nxmesh-demo"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The folders that processes below this one work in.
fn folders_of(demo: &Child) -> BTreeSet<PathBuf> {
    let children = Command::new("sh")
        .args(["-c", "cat /proc/$0/task/*/children", &demo.id().to_string()])
        .output()
        .unwrap();
    String::from_utf8_lossy(&children.stdout)
        .split_whitespace()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok())
        .filter_map(|line| {
            let at = line.find("/tmp/nx-")?;
            line[at..]
                .split(['\0', '/'])
                .nth(2)
                .map(|name| PathBuf::from("/tmp").join(name))
        })
        .collect()
}

#[test]
fn run_once_it_proves_everything_and_leaves_nothing() {
    let child = demo(&["--once", "--agents", "2"]);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("requests, 0 failed"), "{text}");
    assert!(text.contains("host not found in upstream"), "{text}");
    assert!(text.contains("Address already in use"), "{text}");
    assert!(
        !text.contains('\u{1b}'),
        "control sequences without a terminal: {text}"
    );
}

#[test]
fn a_signal_in_its_middle_leaves_nothing() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut child = demo(&["--agents", "1"]);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("apply a shop") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "ended early");
        }
        let folders = folders_of(&child);
        assert!(!folders.is_empty());
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        let status = wait::until("the demonstration ends", || Ok(child.try_wait()?)).unwrap();
        assert!(status.code().is_some(), "{status}");
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        for folder in folders {
            assert!(!folder.exists(), "{} is left: {rest}", folder.display());
            let left = processes_in(&folder);
            assert!(left.is_empty(), "{left:?} are left: {rest}");
        }
    }
}

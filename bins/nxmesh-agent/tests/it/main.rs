//! The program as scripts see it: words and exit codes.
#![expect(clippy::unwrap_used, reason = "that is how tests fail")]

mod reloaders;
mod service;

use std::process::{Command, Output};

pub(crate) fn agent(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_nxmesh-agent"))
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn the_status_of_no_agent_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (code, stdout, stderr) = agent(&["status", "--state-dir", path, "-o", "json"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert_eq!(stdout, "");
    assert!(stderr.contains("no agent runs on"), "{stderr}");
    // Asked, not made.
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn mistakes_of_use_are_told_from_bad_input() {
    let (code, _, stderr) = agent(&["--transport", "quic"]);
    assert_eq!(code, Some(64));
    assert!(
        stderr.contains("no such transport; there is auto, grpc, websocket"),
        "{stderr}"
    );

    let (code, _, stderr) = agent(&["config", "check", "--nginx-binary", "/nonexistent/nginx"]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("/nonexistent/nginx"), "{stderr}");

    let (code, _, stderr) = agent(&["config", "check", "--master-url", "http://master"]);
    assert_eq!(code, Some(64));
    assert!(stderr.contains("https://"), "{stderr}");
}

#[test]
fn an_agent_without_identity_says_how_to_enrol() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (code, _, stderr) = agent(&["run", "--state-dir", path, "--mode", "full"]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("nxmeshctl agent enroll"), "{stderr}");
}

#[test]
fn a_token_that_is_spent_need_not_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let check = [
        "config",
        "check",
        "--state-dir",
        path,
        "--token-file",
        "/nonexistent/token",
    ];
    let (code, _, stderr) = agent(&check);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("/nonexistent/token"), "{stderr}");
    std::fs::write(folder.path().join("identity"), "").unwrap();
    let (code, _, stderr) = agent(&check);
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_file_with_an_unknown_key_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    std::fs::write(&path, "mode = \"full\"\nmaster_ulr = \"https://m\"\n").unwrap();
    let (code, _, stderr) = agent(&["config", "check", "--config", path.to_str().unwrap()]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("agent.toml:2:1"), "{stderr}");
    assert!(stderr.contains("master_url"), "{stderr}");
}

#[test]
fn settings_are_printed_as_a_file_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    std::fs::write(&path, "mode = \"full\"\nlabels = \"env=prod\"\n").unwrap();
    let path = path.to_str().unwrap();
    let (code, stdout, stderr) =
        agent(&["config", "print", "--config", path, "--labels", "env=test"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("mode = \"full\""), "{stdout}");
    assert!(stdout.contains("labels = \"env=test\""), "{stdout}");
}

#[test]
fn a_line_is_put_into_nginx_conf_and_taken_out_again() {
    let nginx = nxmesh_agent_lib::testkit::RealNginx::new();
    let before = std::fs::read_to_string(nginx.conf()).unwrap();
    let (conf, state) = (nginx.conf(), nginx.dir().join("state"));
    let run = |command| {
        agent(&[
            command,
            "--nginx-binary",
            nginx.binary().to_str().unwrap(),
            "--nginx-conf",
            conf.to_str().unwrap(),
            "--state-dir",
            state.to_str().unwrap(),
        ])
    };
    for said in ["added to", "has the line already"] {
        let (code, stdout, stderr) = run("adopt");
        assert_eq!(code, Some(0), "{stderr}");
        assert!(
            stdout.contains(said) && stdout.contains("entry.conf;"),
            "{stdout}"
        );
    }
    for said in ["removed from", "does not have the line"] {
        let (code, stdout, stderr) = run("release");
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains(said), "{stdout}");
    }
    assert_eq!(std::fs::read_to_string(&conf).unwrap(), before);
    std::fs::write(&conf, "events {}\n").unwrap();
    let (code, _, stderr) = run("adopt");
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("no http block"), "{stderr}");
}

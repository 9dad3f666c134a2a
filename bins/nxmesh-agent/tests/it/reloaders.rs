//! What each reloader needs is looked at before it is needed.

use crate::agent;

/// Checks the settings of a fresh agent; what was said.
fn check(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let (code, _, stderr) =
        agent(&[&["config", "check", "--state-dir", state], arguments].concat());
    (code, stderr)
}

#[test]
fn programs_of_commands_have_to_be_there() {
    let command = |flag, words| check(&["--mode", "full", "--reloader", "command", flag, words]);
    let (code, stderr) = command("--reload-command", "/bin/true now");
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stderr) = command("--start-command", "no-such-program");
    assert_eq!(code, Some(3), "{stderr}");
    assert!(
        stderr.contains("the start command, no-such-program"),
        "{stderr}"
    );
    assert!(stderr.contains("absolute path"), "{stderr}");
}

#[test]
fn settings_of_another_reloader_are_not_passed_over() {
    let (code, stderr) = check(&["--mode", "full", "--reload-command", "/bin/true"]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("--reloader command"), "{stderr}");
}

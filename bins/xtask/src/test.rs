//! Builds everything and runs all tests.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::closing_lines::{self, Ended};
use crate::{nginx_next, services, workspace};

/// Names the services whose absence fails a test instead of skipping it.
const REQUIRE: &str = "NXMESH_TEST_REQUIRE";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Handed to the test runner, for example the name of a test; doc tests are left out then
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    arguments: Vec<String>,
}

/// Runs the tests. The runner's own closing lines are the last that is printed, also on failure.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    services::ensure_c_compiler()?;
    services::ensure(&[
        "nginx",
        "nginx-stream",
        "dbus-daemon",
        "ps",
        "strace",
        "promtool",
        "systemd-analyze",
    ])?;
    let next = nginx_next::ensure()?;
    // Some tests start the programs. Building them together with the tests gives both the same
    // features, so that nothing is compiled twice.
    workspace::run(workspace::cargo()?.args(["build", "--workspace", "--bins", "--tests"]))?;

    let mut ended = Vec::new();
    for command in runners(workspace::has_cargo_command("nextest")?, &options.arguments) {
        ended.push(start(&command, &next)?);
    }
    let success = ended.iter().all(|ended| ended.success);
    println!(
        "\n== {}",
        if success {
            "all tests passed"
        } else {
            "FAILED"
        }
    );
    for line in ended.iter().flat_map(|ended| &ended.closing_lines) {
        println!("{line}");
    }
    Ok(if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The arguments of the cargo commands that together run what was asked for.
///
/// nextest runs no doc tests, so those come first, and its summary last.
fn runners(nextest: bool, arguments: &[String]) -> Vec<Vec<String>> {
    // Chosen packages would be lost beside `--workspace`.
    let chosen = arguments
        .iter()
        .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"));
    let everything: &[&str] = if chosen { &[] } else { &["--workspace"] };
    let command = |words: &[&str], arguments: &[String]| {
        let words = [words, everything].concat();
        let words = words.into_iter().map(str::to_owned);
        words.chain(arguments.iter().cloned()).collect()
    };
    match (nextest, arguments) {
        (true, []) => vec![
            command(&["test", "--no-fail-fast", "--doc"], &[]),
            command(&["nextest", "run"], &[]),
        ],
        (true, _) => vec![command(&["nextest", "run"], arguments)],
        (false, []) => vec![command(&["test", "--no-fail-fast"], &[])],
        (false, _) => vec![command(&["test", "--no-fail-fast", "--tests"], arguments)],
    }
}

fn start(arguments: &[String], next: &Path) -> Result<Ended> {
    println!("$ cargo {}", arguments.join(" "));
    let mut command: Command = workspace::cargo()?;
    command.args(arguments).env(nginx_next::VARIABLE, next);
    if env::var_os(REQUIRE).is_none() {
        command.env(REQUIRE, "nginx,nginx-next,strace,promtool");
    }
    closing_lines::run(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_comes_last_and_doc_tests_are_not_forgotten() {
        let runners = runners(true, &[]);
        assert!(runners[0].contains(&"--doc".to_owned()));
        assert_eq!(runners[1], ["nextest", "run", "--workspace"]);
        assert_eq!(runners.len(), 2);
    }

    #[test]
    fn without_nextest_one_command_runs_everything() {
        assert_eq!(
            runners(false, &[]),
            [["test", "--no-fail-fast", "--workspace"]]
        );
    }

    #[test]
    fn arguments_reach_the_runner() {
        let name = ["a_name".to_owned()];
        assert_eq!(
            runners(true, &name),
            [["nextest", "run", "--workspace", "a_name"]]
        );
        assert!(
            runners(false, &name)[0].ends_with(&["--workspace".to_owned(), "a_name".to_owned()])
        );
    }

    #[test]
    fn chosen_packages_are_not_drowned_in_the_workspace() {
        let package = ["-p".to_owned(), "xtask".to_owned()];
        assert_eq!(runners(true, &package), [["nextest", "run", "-p", "xtask"]]);
    }
}

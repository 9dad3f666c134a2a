//! Builds everything and runs all tests.

use std::env;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::closing_lines::{self, Ended};
use crate::{services, workspace};

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
    services::ensure(&["nginx"])?;
    // Some tests start the programs. Building them together with the tests gives both the same
    // features, so that nothing is compiled twice.
    workspace::run(workspace::cargo()?.args(["build", "--workspace", "--bins", "--tests"]))?;

    let mut ended = Vec::new();
    for command in runners(workspace::has_cargo_command("nextest")?, &options.arguments) {
        ended.push(start(&command)?);
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
    let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut runners: Vec<Vec<String>> = match (nextest, arguments) {
        (true, []) => vec![
            command(&["test", "--workspace", "--doc", "--no-fail-fast"]),
            command(&["nextest", "run", "--workspace"]),
        ],
        (true, _) => vec![command(&["nextest", "run", "--workspace"])],
        (false, []) => vec![command(&["test", "--workspace", "--no-fail-fast"])],
        (false, _) => vec![command(&[
            "test",
            "--workspace",
            "--no-fail-fast",
            "--tests",
        ])],
    };
    if let Some(last) = runners.last_mut() {
        last.extend_from_slice(arguments);
    }
    runners
}

fn start(arguments: &[String]) -> Result<Ended> {
    println!("$ cargo {}", arguments.join(" "));
    let mut command: Command = workspace::cargo()?;
    command.args(arguments);
    if env::var_os(REQUIRE).is_none() {
        command.env(REQUIRE, "nginx");
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
    }

    #[test]
    fn arguments_reach_the_runner() {
        let arguments = ["-p".to_owned(), "xtask".to_owned()];
        assert_eq!(
            runners(true, &arguments),
            [["nextest", "run", "--workspace", "-p", "xtask"]]
        );
        let libtest = runners(false, &arguments);
        assert_eq!(libtest.len(), 1);
        assert!(libtest[0].ends_with(&arguments));
    }
}

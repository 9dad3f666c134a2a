//! `nxmeshctl`, run as a person runs it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::daemon::without_our_variables;
use crate::sandbox::Sandbox;

/// One user's command line.
#[derive(Clone, Debug)]
pub struct Ctl {
    program: PathBuf,
    config: PathBuf,
    sandbox: Sandbox,
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code; 255 if a signal ended it.
    pub code: u8,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Outcome {
    /// Standard output and error, as a person sees them.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The outcome itself if the command succeeded.
    ///
    /// # Errors
    ///
    /// Otherwise, with all it said.
    pub fn success(self) -> Result<Self> {
        ensure!(
            self.code == 0,
            "nxmeshctl ended with {}:\n{}",
            self.code,
            self.text()
        );
        Ok(self)
    }

    /// Standard output as JSON, of a command that succeeded.
    ///
    /// # Errors
    ///
    /// When it failed or printed something else.
    pub fn json(self) -> Result<Value> {
        let outcome = self.success()?;
        serde_json::from_str(&outcome.stdout)
            .with_context(|| format!("nxmeshctl printed no JSON:\n{}", outcome.stdout))
    }
}

impl Ctl {
    /// A command line whose login is kept in `config`.
    #[must_use]
    pub fn new(program: &Path, config: PathBuf, sandbox: &Sandbox) -> Self {
        Self {
            program: program.to_owned(),
            config,
            sandbox: sandbox.clone(),
        }
    }

    /// The file with the login.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Runs a command.
    ///
    /// # Errors
    ///
    /// When it cannot be run; that it fails is an [`Outcome`].
    pub fn run(&self, arguments: &[&str]) -> Result<Outcome> {
        self.run_with(arguments, "")
    }

    /// Runs a command with `input` as its standard input.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Result<Outcome> {
        let started = Instant::now();
        let mut command = Command::new(&self.program);
        without_our_variables(&mut command);
        command
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.sandbox.spawn(&mut command)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends without reading its input says why by its exit code.
            drop(stdin.write_all(input.as_bytes()));
        }
        let output = child
            .wait_with_output()
            .context("could not wait for nxmeshctl")?;
        let code = output
            .status
            .code()
            .and_then(|code| u8::try_from(code).ok());
        Ok(Outcome {
            code: code.unwrap_or(u8::MAX),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: started.elapsed(),
        })
    }
}

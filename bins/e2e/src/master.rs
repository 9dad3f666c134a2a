//! One master on SQLite.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::daemon::{Daemon, without_our_variables};
use crate::http::{Connection, Response, Target};
use crate::port::Port;
use crate::sandbox::Sandbox;
use crate::wait;

/// The one user there is.
pub const USERNAME: &str = "admin";

/// A master's process, ports and data; what is on disk outlives the process.
#[derive(Debug)]
pub struct Master {
    program: PathBuf,
    sandbox: Sandbox,
    data_dir: PathBuf,
    log: PathBuf,
    password_file: PathBuf,
    password: String,
    api: Port,
    agents: Port,
    more: Vec<String>,
    process: Option<Daemon>,
}

impl Master {
    /// Makes the data folder of a new master with its first user, and starts it.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn start(program: &Path, sandbox: &Sandbox, password: &str) -> Result<Self> {
        let mut master = Self {
            program: program.to_owned(),
            sandbox: sandbox.clone(),
            data_dir: sandbox.path().join("master"),
            log: sandbox.path().join("log/master"),
            password_file: sandbox.path().join("password"),
            password: password.to_owned(),
            api: Port::take()?,
            agents: Port::take()?,
            more: Vec::new(),
            process: None,
        };
        fs::write(&master.password_file, password).context("could not write the password")?;
        master.init()?;
        master.run()?;
        Ok(master)
    }

    fn init(&self) -> Result<()> {
        let mut command = Command::new(&self.program);
        without_our_variables(&mut command);
        command
            .args(["init", "--admin-user", USERNAME, "--data-dir"])
            .arg(&self.data_dir)
            .arg("--admin-password-file")
            .arg(&self.password_file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = self.sandbox.spawn(&mut command)?;
        let output = child
            .wait_with_output()
            .context("could not wait for nxmesh-master init")?;
        ensure!(
            output.status.success(),
            "nxmesh-master init: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// From its next start it is given more arguments.
    pub fn tell(&mut self, arguments: &[&str]) {
        self.more = arguments.iter().map(|&it| it.to_owned()).collect();
    }

    /// Starts the process again with the same data and ports, and waits until it serves.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn run(&mut self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command
            // The name of the machine may lead elsewhere than to the loopback.
            .args(["run", "--agent-server-name", "127.0.0.1", "--data-dir"])
            .arg(&self.data_dir)
            .arg("--api-listen")
            .arg(self.api.on_loopback().to_string())
            .arg("--agent-listen")
            .arg(self.agents.on_loopback().to_string())
            .args(&self.more);
        let mut process = Daemon::start(&self.sandbox, command, &self.log)?;
        let ready = Target::http(self.api(), "localhost", "/readyz");
        wait::until("the master serves", || {
            if let Some(status) = process.ended()? {
                let ended = anyhow!("the master ended: {status}\n{}", process.output()?);
                return Ok(Some(Err(ended)));
            }
            let said = process.output()?;
            let announced = said.contains("api listening on") && said.contains("agents connect to");
            Ok((announced && ready.get()?.status == 200).then_some(Ok(())))
        })??;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it without warning.
    ///
    /// # Errors
    ///
    /// When it cannot be waited for.
    pub fn kill9(&mut self) -> Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.kill9())
    }

    /// Asks it to stop, and waits.
    ///
    /// # Errors
    ///
    /// When it does not stop in time, or with an error.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let status = process.terminate()?;
        ensure!(status.success(), "the master ended with {status}");
        Ok(())
    }

    /// Where its REST interface listens.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        self.api.on_loopback()
    }

    /// URL of its REST interface.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.api())
    }

    /// Its folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Everything it has logged in its lives.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The password of [`USERNAME`].
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The file with the password of [`USERNAME`].
    #[must_use]
    pub fn password_file(&self) -> &Path {
        &self.password_file
    }

    /// Logs in over REST; returns the access token.
    ///
    /// # Errors
    ///
    /// When the master refuses.
    pub fn token(&self) -> Result<String> {
        let body = json!({ "username": USERNAME, "password": self.password });
        let response = self.request(
            "POST",
            "/api/v1/auth/login",
            &["Content-Type: application/json"],
            body.to_string().as_bytes(),
        )?;
        ensure!(response.status == 200, "login: {}", response.text());
        let answer: Value = serde_json::from_slice(&response.body)?;
        let token = answer["access_token"].as_str();
        Ok(token.context("the login gave no token")?.to_owned())
    }

    /// One request to the REST interface, on a connection of its own.
    ///
    /// # Errors
    ///
    /// When there is no whole answer.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) -> Result<Response> {
        let target = Target::http(self.api(), "localhost", path);
        let headers = [headers, &["Connection: close"]].concat();
        let mut connection = Connection::open(&target)?;
        Ok(connection.send(&target.request(method, &headers, body))?)
    }

    /// Applies documents over REST and returns as soon as the master has answered.
    ///
    /// # Errors
    ///
    /// When there is no whole answer; a refusal is one.
    pub fn post_apply(&self, token: &str, yaml: &str) -> Result<Response> {
        let bearer = format!("Authorization: Bearer {token}");
        self.request(
            "POST",
            "/api/v1/workspaces/default/apply",
            &[&bearer, "Content-Type: application/yaml"],
            yaml.as_bytes(),
        )
    }
}

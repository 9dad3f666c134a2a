//! One agent and the nginx it manages.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::daemon::{Daemon, without_our_variables};
use crate::http::Target;
use crate::port::Port;
use crate::programs::Programs;
use crate::sandbox::{self, Sandbox};
use crate::wait;

/// How much of the nginx configuration is the agent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of it.
    Full,
    /// What the include line in an `nginx.conf` of the machine's leads to.
    Include,
}

/// What an agent needs to be admitted.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Where agents connect.
    pub master_url: String,
    /// The bootstrap token.
    pub token: String,
    /// PEM of the master's authority.
    pub ca_pem: String,
}

/// An agent's process, folders and the ports its nginx is given; what is on disk outlives the process.
#[derive(Debug)]
pub struct Node {
    name: String,
    mode: Mode,
    programs: Programs,
    sandbox: Sandbox,
    folder: PathBuf,
    log: PathBuf,
    master_url: String,
    http: Port,
    https: Port,
    isolates: bool,
    /// A program and arguments before the agent's own.
    under: Vec<String>,
    variables: Vec<(String, String)>,
    /// Arguments after all others.
    more: Vec<String>,
    process: Option<Daemon>,
}

impl Node {
    /// Prepares the folders; starts nothing. The agent will bear the label `node=NAME` if its token says so.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn prepare(
        name: &str,
        mode: Mode,
        programs: &Programs,
        sandbox: &Sandbox,
        admission: &Admission,
    ) -> Result<Self> {
        let folder = sandbox.path().join(name);
        let node = Self {
            name: name.to_owned(),
            mode,
            programs: programs.clone(),
            sandbox: sandbox.clone(),
            log: sandbox.path().join("log").join(name),
            master_url: admission.master_url.clone(),
            http: Port::take()?,
            https: Port::take()?,
            isolates: false,
            under: Vec::new(),
            variables: Vec::new(),
            more: Vec::new(),
            process: None,
            folder,
        };
        for name in ["", "state", "run", "prefix", "prefix/logs"] {
            let folder = node.folder.join(name);
            fs::create_dir_all(&folder)
                .with_context(|| format!("could not make {}", folder.display()))?;
        }
        node.write("token", &admission.token)?;
        node.write("ca.pem", &admission.ca_pem)?;
        if mode == Mode::Include {
            node.write("nginx.conf", &node.own_conf())?;
        }
        Ok(node)
    }

    fn write(&self, name: &str, contents: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, contents).with_context(|| format!("could not write {}", path.display()))
    }

    /// The `nginx.conf` of a machine that has a site of its own beside ours.
    fn own_conf(&self) -> String {
        let folder = self.folder.display();
        format!(
            "worker_processes 1;\n\
             pid {folder}/run/nginx.pid;\n\
             error_log {folder}/prefix/logs/error.log notice;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n    \
                 access_log off;\n    \
                 server {{\n        \
                     listen 127.0.0.1:{};\n        \
                     return 200 \"the machine's own site\";\n    \
                 }}\n    \
                 include {folder}/state/entry.conf;\n\
             }}\n",
            self.https.number()
        )
    }

    /// From its next start the agent holds a bad resource back rather than refuse a whole version.
    pub fn isolate(&mut self) {
        self.isolates = true;
    }

    /// From its next start the agent is run by another program: `setpriv …`.
    pub fn run_under(&mut self, words: &[&str]) {
        self.under = words.iter().map(|&word| word.to_owned()).collect();
    }

    /// From its next start the agent is given more arguments.
    pub fn tell(&mut self, arguments: &[&str]) {
        self.more = arguments.iter().map(|&it| it.to_owned()).collect();
    }

    /// From its next start the agent has a variable in its environment.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the agent. It enrols itself the first time, and starts nginx if none runs.
    ///
    /// # Errors
    ///
    /// When the process cannot be started.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "agent {} runs already", self.name);
        let mut command = match self.under.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.programs.agent);
                command
            }
            None => Command::new(&self.programs.agent),
        };
        command.envs(self.variables.iter().cloned());
        command
            .args(["run", "--master-url", &self.master_url, "--mode"])
            .arg(match self.mode {
                Mode::Full => "full",
                Mode::Include => "include",
            })
            .arg("--state-dir")
            .arg(self.state_dir())
            .arg("--runtime-dir")
            .arg(self.folder.join("run"))
            .arg("--token-file")
            .arg(self.folder.join("token"))
            .arg("--master-ca")
            .arg(self.folder.join("ca.pem"))
            .arg("--nginx-binary")
            .arg(&self.programs.nginx)
            .arg("--nginx-prefix")
            .arg(self.folder.join("prefix"));
        if self.isolates {
            command.args(["--bad-resource", "isolate"]);
        }
        if self.mode == Mode::Include {
            command
                .arg("--nginx-conf")
                .arg(self.folder.join("nginx.conf"))
                .arg("--nginx-pid-file")
                .arg(self.folder.join("run/nginx.pid"));
        }
        command.args(&self.more);
        self.process = Some(Daemon::start(&self.sandbox, command, &self.log)?);
        Ok(())
    }

    /// The running agent.
    ///
    /// # Errors
    ///
    /// When it was not started, or was killed.
    pub fn process(&mut self) -> Result<&mut Daemon> {
        let name = &self.name;
        self.process
            .as_mut()
            .with_context(|| format!("agent {name} does not run"))
    }

    /// Kills the agent without warning; its nginx goes on.
    ///
    /// # Errors
    ///
    /// When it cannot be waited for.
    pub fn kill9(&mut self) -> Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.kill9())
    }

    /// Asks the agent to stop, and waits; its nginx goes on.
    ///
    /// # Errors
    ///
    /// When it does not stop in time, or with an error.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let status = process.terminate()?;
        ensure!(status.success(), "agent {} ended with {status}", self.name);
        Ok(())
    }

    /// Kills the whole nginx without warning: its master and every worker.
    ///
    /// # Errors
    ///
    /// When none runs, or it does not go away.
    pub fn kill_nginx(&self) -> Result<()> {
        let pids = self.nginx();
        ensure!(!pids.is_empty(), "no nginx of {} runs", self.name);
        for &pid in &pids {
            sandbox::kill9(pid)?;
        }
        wait::until("the port of the killed nginx is closed", || {
            let gone = pids.iter().all(|&pid| title(pid).is_empty());
            Ok(gone.then_some(()))
        })
    }

    /// The processes of its nginx, the master first.
    #[must_use]
    pub fn nginx(&self) -> Vec<i32> {
        let folder = self.folder.to_string_lossy();
        let processes = self.sandbox.processes();
        let Some(&master) = processes.iter().find(|&&pid| {
            let title = title(pid);
            title.starts_with("nginx: master process") && title.contains(&format!("{folder}/"))
        }) else {
            return Vec::new();
        };
        let workers = processes.iter().filter(|&&pid| parent(pid) == Some(master));
        std::iter::once(&master).chain(workers).copied().collect()
    }

    /// What `nxmesh-agent status` prints as JSON.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn status(&self) -> Result<Value> {
        let mut command = Command::new(&self.programs.agent);
        without_our_variables(&mut command);
        let output = command
            .args(["status", "-o", "json", "--state-dir"])
            .arg(self.state_dir())
            .arg("--runtime-dir")
            .arg(self.folder.join("run"))
            .output()
            .context("could not start nxmesh-agent")?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The release that nginx itself says it serves.
    ///
    /// # Errors
    ///
    /// When nginx does not answer.
    pub fn release_served(&self) -> Result<String> {
        let path = self.folder.join("run/probe/sock");
        let mut stream = UnixStream::connect(&path)
            .with_context(|| format!("could not connect to {}", path.display()))?;
        stream.set_read_timeout(Some(wait::PATIENCE))?;
        stream.write_all(b"GET /nxmesh/release HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no whole answer")?;
        Ok(body.trim().to_owned())
    }

    /// Its name, also the value of its label `node`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the agent keeps what outlives a reboot.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Everything of this node.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything the agent has logged in its lives.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// A port for plain HTTP that only this node uses.
    #[must_use]
    pub const fn http_port(&self) -> u16 {
        self.http.number()
    }

    /// A port for HTTPS that only this node uses; in mode include the machine's own site is there.
    #[must_use]
    pub const fn https_port(&self) -> u16 {
        self.https.number()
    }

    /// `http://host/path` at this node's nginx.
    #[must_use]
    pub fn http(&self, host: &str, path: &str) -> Target {
        Target::http(self.http.on_loopback(), host, path)
    }

    /// `https://host/path` at this node's nginx.
    #[must_use]
    pub fn https(&self, host: &str, path: &str) -> Target {
        Target::https(self.https.on_loopback(), host, path)
    }

    /// A VirtualHost document for this node alone that answers every path with a text.
    #[must_use]
    pub fn answering(&self, name: &str, host: &str, answer: &str) -> String {
        format!(
            "kind: VirtualHost\n\
             metadata: {{ name: {name} }}\n\
             spec:\n  \
               selector: \"node={}\"\n  \
               server_names: [{host}]\n  \
               listen: [{{ port: {}, address: 127.0.0.1 }}]\n  \
               locations: [{{ path: /, respond: {{ status: 200, body: \"{answer}\" }} }}]\n\
             ---\n",
            self.name,
            self.http.number()
        )
    }
}

/// The command line of a process, which nginx replaces by a title; empty if it is gone.
fn title(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

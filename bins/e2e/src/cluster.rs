//! A master, its agents, and somebody who is logged in.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nxmesh_core::api::{AgentView, BootstrapTokenResponse, Page};

use crate::ctl::{Ctl, Outcome};
use crate::master::{Master, USERNAME};
use crate::node::{Admission, Mode, Node};
use crate::programs::Programs;
use crate::sandbox::Sandbox;
use crate::wait;

/// Everything of one cluster. Dropping it ends every process and removes every file; if a test failed,
/// the end of each log is shown first.
#[derive(Debug)]
pub struct Cluster {
    /// The agents with their nginx.
    pub nodes: Vec<Node>,
    /// A command line that is logged in.
    pub ctl: Ctl,
    /// The master.
    pub master: Master,
    sandbox: Sandbox,
    programs: Programs,
}

impl Cluster {
    /// Starts a master and `nodes` agents called `n1`, `n2` and so on, in mode full.
    ///
    /// # Errors
    ///
    /// When something does not come up; the text tells what its log says.
    pub fn start(nodes: usize) -> Result<Self> {
        let mut cluster = Self::master_only(&Sandbox::new()?)?;
        for number in 1..=nodes {
            cluster.add_node(&format!("n{number}"), Mode::Full)?;
        }
        cluster.until_ready()?;
        Ok(cluster)
    }

    /// Starts a master in `sandbox` and logs in.
    ///
    /// # Errors
    ///
    /// When it does not come up.
    pub fn master_only(sandbox: &Sandbox) -> Result<Self> {
        let programs = Programs::find()?;
        fs::create_dir_all(sandbox.path().join("log")).context("could not make a folder")?;
        let password = format!("{:016x}", RandomState::new().hash_one("password"));
        let master = Master::start(&programs.master, sandbox, &password)?;
        let ctl = Ctl::new(&programs.ctl, sandbox.path().join("ctl.toml"), sandbox);
        let cluster = Self {
            nodes: Vec::new(),
            ctl,
            master,
            sandbox: sandbox.clone(),
            programs,
        };
        cluster.login()?;
        Ok(cluster)
    }

    /// Logs the command line in, as after a new start of a person's day.
    ///
    /// # Errors
    ///
    /// When the master refuses.
    pub fn login(&self) -> Result<()> {
        let password = self.master.password_file().to_string_lossy();
        let url = self.master.url();
        let arguments = ["login", "--server", &url, "--username", USERNAME];
        let arguments = [&arguments[..], &["--password-file", &password]].concat();
        self.ctl.run(&arguments)?.success()?;
        Ok(())
    }

    /// A token that admits one agent with these labels.
    ///
    /// # Errors
    ///
    /// When the master refuses.
    pub fn admission(&self, labels: &str) -> Result<Admission> {
        let arguments = ["agent", "enroll", "--labels", labels, "-o", "json"];
        let answer = self.ctl.run(&arguments)?.json()?;
        let answer: BootstrapTokenResponse = serde_json::from_value(answer)?;
        Ok(Admission {
            master_url: answer.master_url,
            token: answer.token,
            ca_pem: answer.ca_pem,
        })
    }

    /// Makes a node whose files are there and whose agent is not started.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn prepare_node(&self, name: &str, mode: Mode, admission: &Admission) -> Result<Node> {
        Node::prepare(name, mode, &self.programs, &self.sandbox, admission)
    }

    /// Gives another nginx to the agents that are added from now on.
    pub fn use_nginx(&mut self, nginx: PathBuf) {
        self.programs.nginx = nginx;
    }

    /// Enrols and starts an agent with the label `node=NAME`; does not wait for it.
    ///
    /// # Errors
    ///
    /// When the master refuses or the process does not start.
    pub fn add_node(&mut self, name: &str, mode: Mode) -> Result<()> {
        let admission = self.admission(&format!("node={name}"))?;
        let mut node = self.prepare_node(name, mode, &admission)?;
        node.start()?;
        self.nodes.push(node);
        Ok(())
    }

    /// Waits until every node's agent holds a session.
    ///
    /// # Errors
    ///
    /// When one does not; the text tells what its log says.
    pub fn until_ready(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            let name = node.name().to_owned();
            if let Some(status) = node.process()?.ended()? {
                anyhow::bail!(
                    "agent {name} ended: {status}\n{}",
                    node.process()?.output()?
                );
            }
        }
        wait::until("every agent is connected", || {
            let connected = self
                .agents()?
                .iter()
                .filter(|agent| agent.connected)
                .count();
            Ok((connected == self.nodes.len()).then_some(()))
        })
        .with_context(|| self.logs(20))
    }

    /// Runs `nxmeshctl apply` on documents: returns once every agent concerned is done.
    ///
    /// # Errors
    ///
    /// When the command cannot be run.
    pub fn apply(&self, yaml: &str) -> Result<Outcome> {
        self.ctl.run_with(&["apply", "-f", "-"], yaml)
    }

    /// What the master knows about its agents.
    ///
    /// # Errors
    ///
    /// When the master does not tell.
    pub fn agents(&self) -> Result<Vec<AgentView>> {
        let answer = self.ctl.run(&["get", "agents", "-o", "json"])?.json()?;
        let page: Page<AgentView> = serde_json::from_value(answer)?;
        Ok(page.items)
    }

    /// What the master knows about the agent of a node.
    ///
    /// # Errors
    ///
    /// When the master does not know one.
    pub fn agent(&self, node: &Node) -> Result<AgentView> {
        let label = format!("node={}", node.name());
        let matches = |agent: &AgentView| {
            agent
                .labels
                .iter()
                .any(|(key, value)| format!("{key}={value}") == label)
        };
        let found = self.agents()?.into_iter().find(matches);
        found.with_context(|| format!("the master knows no agent {label}"))
    }

    /// Where everything happens.
    #[must_use]
    pub const fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The programs it is made of.
    #[must_use]
    pub const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The last lines of each log.
    #[must_use]
    pub fn logs(&self, lines: usize) -> String {
        let mut text = String::new();
        let logs = fs::read_dir(self.sandbox.path().join("log"));
        let mut logs: Vec<_> = logs
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        logs.sort();
        for log in logs {
            text.push_str(&tail(&log, lines));
        }
        text
    }
}

fn tail(log: &Path, lines: usize) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let whole = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = whole.lines().collect();
    let from = all.len().saturating_sub(lines);
    let name = log.file_name().unwrap_or_default().display();
    format!("--- {name}\n{}\n", all[from..].join("\n"))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs(60));
        }
        if let Err(error) = self.sandbox.close() {
            eprintln!("warning: {error:#}");
        }
    }
}

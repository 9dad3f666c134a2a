//! One agent with an nginx of its own.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use nxmesh_agent_lib::{
    Agent, AgentBuilder, AgentError, AgentOptions, AgentStatus, BootstrapToken,
    apply::{ApplyOptions, Mode},
    nginx::{Enter, Layout},
    reload::{SignalOptions, SignalReloader},
    testkit::{RealNginx, ScriptedMaster, free_port, freeze, nginx_binary, stop_nginx_in},
    transport::Backoff,
};
use nxmesh_core::{
    bundle::Slice, document::parse, memory::MemoryTransport, model::Version, wire::ConfigPhase,
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const fn version(revision: u64) -> Version {
    Version { epoch: 1, revision }
}

/// A virtual host that answers `answer` to everybody.
pub(crate) fn site(port: u16, answer: &str) -> Slice {
    slice(&format!(
        r#"
kind: VirtualHost
metadata: {{ name: site }}
spec:
  server_names: [site.example]
  listen: [{{ port: {port}, address: 127.0.0.1 }}]
  locations: [{{ path: /, respond: {{ status: 200, body: "{answer}", content_type: text/plain }} }}]
"#
    ))
}

/// Has the master want `slice`, and waits until nginx serves it.
pub(crate) async fn applied(master: &ScriptedMaster, revision: u64, slice: &Slice) {
    master.desire(version(revision), slice);
    master
        .status(version(revision), ConfigPhase::Applied)
        .await
        .unwrap();
}

/// A virtual host that needs a name nobody has (RFC 6761, section 6.4).
pub(crate) fn unresolvable(port: u16) -> Slice {
    slice(&format!(
        r#"
kind: VirtualHost
metadata: {{ name: site }}
spec:
  server_names: [site.example]
  listen: [{{ port: {port}, address: 127.0.0.1 }}]
  locations: [{{ path: /, proxy: {{ upstream: nowhere }} }}]
---
kind: Upstream
metadata: {{ name: nowhere }}
spec: {{ servers: [{{ address: "nowhere.invalid:80" }}] }}
"#
    ))
}

pub(crate) fn slice(text: &str) -> Slice {
    let parsed = parse("test", text).unwrap_or_else(|problems| panic!("{problems:?}"));
    Slice::new(parsed.into_iter().map(|parsed| parsed.resource).collect())
}

/// The folders and the port of one agent. Its nginx ends with it.
pub(crate) struct Rig {
    folder: TempDir,
    pub(crate) port: u16,
}

impl Rig {
    pub(crate) fn new() -> Self {
        // Short: the path of a unix socket has 107 bytes at most.
        let folder = tempfile::Builder::new().prefix("nx").tempdir().unwrap();
        Self {
            folder,
            port: free_port(),
        }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn layout(&self) -> Layout {
        Layout::new(self.state_dir(), self.runtime_dir())
    }

    /// The workers that accept connections.
    pub(crate) fn workers(&self) -> BTreeSet<u32> {
        let log = self.layout().full_options().error_log;
        let is_accepting = |pid: &u32| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|it| it.trim_end_matches(['\0', ' ']) == "nginx: worker process")
        };
        processes(&log, "nginx: worker")
            .filter(is_accepting)
            .collect()
    }

    pub(crate) fn reloader(&self) -> SignalReloader {
        let binary = nginx_binary().expect("nginx is installed or named by NXMESH_TEST_NGINX");
        self.reloader_with(binary)
    }

    /// An nginx of its own, to be broken and mended.
    pub(crate) fn own_binary(&self) -> OwnBinary {
        let path = self.folder.path().join("nginx");
        let original = nginx_binary().expect("nginx is installed or named by NXMESH_TEST_NGINX");
        std::fs::copy(original, &path).unwrap();
        OwnBinary(path)
    }

    pub(crate) fn reloader_with(&self, binary: PathBuf) -> SignalReloader {
        let layout = self.layout();
        SignalReloader::new(SignalOptions {
            binary,
            conf: layout.full_conf(),
            prefix: None,
            pid_file: Some(layout.pid_file()),
            unix_sockets: vec![layout.probe_socket()],
            start_log: layout.start_log(),
            build: None,
            enter: Enter::NotNeeded,
        })
    }

    pub(crate) fn options(&self) -> AgentOptions {
        let layout = self.layout();
        let mode = Mode::Full(layout.full_options());
        let mut options = AgentOptions::new(ApplyOptions::new(layout, mode));
        options.bootstrap_token = Some(BootstrapToken::new(ScriptedMaster::TOKEN));
        options.labels = [("env".parse().unwrap(), "test".parse().unwrap())].into();
        let brisk = Backoff {
            first: Duration::from_millis(20),
            cap: Duration::from_millis(200),
        };
        options.connection.backoff = brisk;
        options.connection.progress_after = Duration::ZERO;
        options.control.recover_backoff = brisk;
        options.control.observe_interval = Duration::from_millis(100);
        options
    }

    pub(crate) fn start(&self, transport: MemoryTransport) -> RunningAgent {
        self.start_with(transport, |_| {})
    }

    pub(crate) fn start_with(
        &self,
        transport: MemoryTransport,
        change: impl FnOnce(&mut AgentOptions),
    ) -> RunningAgent {
        let mut options = self.options();
        change(&mut options);
        Self::run(
            Agent::builder(options)
                .transport(transport)
                .reloader(self.reloader()),
        )
    }

    /// Starts an agent that reaches a real master.
    pub(crate) fn start_to_master(&self, options: AgentOptions) -> RunningAgent {
        Self::run(Agent::builder(options).reloader(self.reloader()))
    }

    pub(crate) fn run(agent: AgentBuilder) -> RunningAgent {
        let agent = agent.build().unwrap();
        let stop = CancellationToken::new();
        RunningAgent {
            status: agent.status(),
            running: tokio::spawn(agent.run(stop.clone())),
            stop,
        }
    }

    pub(crate) async fn ask(&self) -> io::Result<(u16, String)> {
        RealNginx::ask(self.port, "site.example", "/").await
    }

    pub(crate) async fn get(&self) -> (u16, String) {
        self.ask().await.unwrap()
    }

    pub(crate) fn kill_nginx(&self) {
        stop_nginx_in(self.folder.path());
    }

    /// How many workers of a master that is gone are left.
    pub(crate) fn orphans(&self) -> usize {
        let log = self.layout().full_options().error_log;
        let masters: Vec<u32> = processes(&log, "nginx: master").collect();
        let is_orphan = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent = stat.rsplit(") ").next().and_then(|it| it.split(' ').nth(1));
            parent.is_some_and(|it| !masters.iter().any(|master| master.to_string() == it))
        };
        processes(&log, "nginx: worker").filter(is_orphan).count()
    }

    pub(crate) fn freeze_nginx(&self) {
        freeze(self.folder.path());
    }
}

/// A copy of nginx.
pub(crate) struct OwnBinary(pub(crate) PathBuf);

impl OwnBinary {
    fn aside(&self) -> PathBuf {
        self.0.with_extension("aside")
    }

    /// Puts a program in its place that fails.
    pub(crate) fn break_it(&self) {
        std::fs::rename(&self.0, self.aside()).unwrap();
        std::fs::write(&self.0, "#!/bin/sh\nexit 1\n").unwrap();
        let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&self.0, runs).unwrap();
    }

    pub(crate) fn mend(&self) {
        std::fs::rename(self.aside(), &self.0).unwrap();
    }
}

/// The processes with this error log whose titles begin so.
fn processes(log: &Path, title: &'static str) -> impl Iterator<Item = u32> {
    let theirs = move |pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/fd/2")).is_ok_and(|it| it == log)
            && std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|it| it.starts_with(title))
    };
    let pids = std::fs::read_dir("/proc").unwrap();
    pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(theirs)
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill_nginx();
    }
}

/// An agent at work. Dropped, it is killed.
pub(crate) struct RunningAgent {
    status: watch::Receiver<AgentStatus>,
    running: JoinHandle<Result<(), AgentError>>,
    stop: CancellationToken,
}

impl RunningAgent {
    /// Waits for a status.
    pub(crate) async fn reached(&mut self, state: impl FnMut(&AgentStatus) -> bool) -> AgentStatus {
        let shown = self.status.clone();
        match timeout(PATIENCE, self.status.wait_for(state)).await {
            Ok(Ok(status)) => return status.clone(),
            Ok(Err(_)) => {}
            Err(_) => panic!("not reached: {:#?}", shown.borrow()),
        }
        panic!("the agent ended: {:?}", (&mut self.running).await);
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(mut self) -> Result<(), AgentError> {
        timeout(PATIENCE, &mut self.running).await.unwrap().unwrap()
    }

    pub(crate) async fn stop(self) -> Result<(), AgentError> {
        self.stop.cancel();
        self.ended().await
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        self.running.abort();
    }
}

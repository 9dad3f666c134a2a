//! A disposable nginx.

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use nxmesh_core::contract::reloader::{Candidate, Reloader as _};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::free_port;
use crate::{
    nginx::Enter,
    reload::{SignalOptions, SignalReloader},
};

/// Long enough for a loaded machine; nothing waits this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The nginx that tests use: `NXMESH_TEST_NGINX`, else the one in `PATH` or
/// `/usr/sbin`; `None` if there is none.
#[must_use]
pub fn nginx_binary() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("NXMESH_TEST_NGINX") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join("nginx"))
        .find(|binary| binary.is_file())
}

/// A real nginx in a folder of its own, on a port of its own. Dropping it
/// stops it, orphaned workers included.
#[derive(Debug)]
pub struct RealNginx {
    folder: TempDir,
    binary: PathBuf,
    port: u16,
}

impl RealNginx {
    /// Makes the folder and a configuration that answers `initial`; nothing
    /// runs yet.
    ///
    /// # Panics
    ///
    /// When there is no nginx on this machine.
    #[must_use]
    pub fn new() -> Self {
        let binary = nginx_binary().expect("nginx is installed or named by NXMESH_TEST_NGINX");
        // Short: the path of a unix socket has 107 bytes at most.
        let folder = tempfile::Builder::new()
            .prefix("nx")
            .tempdir()
            .expect("a temporary folder");
        let nginx = Self {
            folder,
            binary,
            port: free_port(),
        };
        fs::create_dir_all(nginx.dir().join("check")).expect("a folder for checks");
        fs::create_dir_all(nginx.dir().join("temp")).expect("a folder for temporary files");
        nginx.set_answer("initial");
        nginx
    }

    /// As [`new`](Self::new), and starts it.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start() -> Self {
        let nginx = Self::new();
        nginx
            .reloader()
            .start(PATIENCE)
            .await
            .expect("nginx starts");
        nginx
    }

    /// Its folder, also its prefix.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The binary.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Its `nginx.conf`.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.dir().join("nginx.conf")
    }

    /// Its pid file.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.dir().join("nginx.pid")
    }

    /// Its error log.
    #[must_use]
    pub fn error_log(&self) -> PathBuf {
        self.dir().join("error.log")
    }

    /// The port its first server listens on, on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The pid of its master as its pid file has it.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.pid_file())
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// The text of an `nginx.conf` for this instance, with `main` in its main
    /// block and `http` in its `http` block.
    #[must_use]
    pub fn conf_with(&self, main: &str, http: &str) -> String {
        let dir = self.dir().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("    {kind}_temp_path {dir}/temp/{kind};\n"))
            .collect();
        format!(
            "pid {dir}/nginx.pid;\nerror_log {dir}/error.log;\nworker_processes 2;\n{main}\n\
             events {{ worker_connections 64; }}\nhttp {{\n    access_log off;\n{temporary}{http}\n}}\n"
        )
    }

    /// A server on [`port`](Self::port) that answers `answer`.
    #[must_use]
    pub fn server(&self, answer: &str) -> String {
        format!(
            "    server {{ listen 127.0.0.1:{}; location / {{ return 200 \"{answer}\"; }} }}",
            self.port
        )
    }

    /// Writes `nginx.conf`, as a whole.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn set_conf(&self, text: &str) {
        let staged = self.dir().join("nginx.conf.new");
        fs::write(&staged, text).expect("nginx.conf is written");
        fs::rename(staged, self.conf()).expect("nginx.conf is put in place");
    }

    /// Writes an `nginx.conf` with one server that answers `answer`.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn set_answer(&self, answer: &str) {
        self.set_conf(&self.conf_with("", &self.server(answer)));
    }

    /// Its `nginx.conf`, as a candidate for a check.
    #[must_use]
    pub fn candidate(&self) -> Candidate {
        Candidate {
            check_conf: self.conf(),
            check_prefix: self.dir().join("check"),
        }
    }

    /// How a [`SignalReloader`] gets to it.
    #[must_use]
    pub fn options(&self) -> SignalOptions {
        SignalOptions {
            binary: self.binary.clone(),
            conf: self.conf(),
            prefix: Some(self.dir().to_owned()),
            pid_file: Some(self.pid_file()),
            unix_sockets: vec![],
            start_log: self.dir().join("start.log"),
            build: None,
            enter: Enter::NotNeeded,
        }
    }

    /// A reloader for it.
    #[must_use]
    pub fn reloader(&self) -> SignalReloader {
        SignalReloader::new(self.options())
    }

    /// Asks its first server over a new connection; the body of the answer.
    ///
    /// # Errors
    ///
    /// When nobody answers.
    pub async fn get(&self) -> io::Result<String> {
        Ok(Self::ask(self.port, "localhost", "/").await?.1)
    }

    /// Asks a port of 127.0.0.1 over a new connection; status and body.
    ///
    /// # Errors
    ///
    /// When nobody answers in HTTP within ten seconds.
    pub async fn ask(port: u16, host: &str, path: &str) -> io::Result<(u16, String)> {
        let asked = async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            let answer = String::from_utf8_lossy(&answer);
            let invalid = || io::Error::from(io::ErrorKind::InvalidData);
            let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(invalid)?;
            let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
            Ok((status.ok_or_else(invalid)?, body.to_owned()))
        };
        tokio::time::timeout(Duration::from_secs(10), asked).await?
    }

    /// Kills the master; its workers go on as orphans.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill_master(&self) {
        let pid = self.pid().expect("a pid file");
        end(pid, Signal::SIGKILL);
        wait_until(|| !Path::new(&format!("/proc/{pid}/exe")).exists());
    }

    /// Kills the master and its workers.
    pub fn kill(&self) {
        stop_nginx_in(self.dir());
    }
}

impl Default for RealNginx {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for RealNginx {
    fn drop(&mut self) {
        stop_nginx_in(self.dir());
    }
}

/// Kills every process whose error log lies in `folder`: masters, workers and
/// orphaned workers of the nginx that was started there.
pub fn stop_nginx_in(folder: &Path) {
    wait_until(|| {
        let pids = started_in(folder);
        for &pid in &pids {
            end(pid, Signal::SIGKILL);
        }
        pids.is_empty()
    });
}

/// Stops (SIGSTOP) every process of the nginx that was started in `folder`:
/// they are there, hold their ports, and do nothing.
pub fn freeze(folder: &Path) {
    for pid in started_in(folder) {
        end(pid, Signal::SIGSTOP);
    }
}

fn started_in(folder: &Path) -> Vec<u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            fs::read_link(format!("/proc/{pid}/fd/2")).is_ok_and(|log| log.starts_with(folder))
                && fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|title| title.starts_with(b"nginx: "))
        })
        .collect()
}

fn end(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // Gone already is what is wanted.
        kill(Pid::from_raw(pid), signal).ok();
    }
}

fn wait_until(mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(2));
    }
}

//! A real nginx, asked about a text.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// An nginx in a folder of its own.
pub(crate) struct Nginx {
    binary: PathBuf,
    folder: TempDir,
}

/// What nginx thinks of a configuration, in its words.
pub(crate) enum Verdict {
    Accepted,
    /// The text is not configuration.
    Syntax(String),
    /// It is, but says what cannot be.
    Meaning(String),
}

impl Nginx {
    /// The nginx to test with; `None` when there is none and none is required.
    pub(crate) fn find() -> Option<Self> {
        let named = env::var_os("NXMESH_TEST_NGINX").map(PathBuf::from);
        let path = env::var_os("PATH").unwrap_or_default();
        let found = named.or_else(|| {
            env::split_paths(&path)
                .chain([PathBuf::from("/usr/sbin")])
                .map(|folder| folder.join("nginx"))
                .find(|file| file.is_file())
        });
        let Some(binary) = found else {
            let required = env::var("NXMESH_TEST_REQUIRE").unwrap_or_default();
            assert!(
                !required.split(',').any(|name| name == "nginx"),
                "nginx is required, but not there"
            );
            eprintln!("skipped: there is no nginx");
            return None;
        };
        let folder = TempDir::new().expect("make a temporary folder");
        // Where an nginx that was built without paths writes.
        fs::create_dir(folder.path().join("logs")).expect("make a folder");
        Some(Self { binary, folder })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    fn command(&self, text: &str) -> Command {
        let conf = self.folder.path().join("nginx.conf");
        fs::write(&conf, text).expect("write the configuration");
        let mut command = Command::new(&self.binary);
        command
            .env_clear()
            .arg("-p")
            .arg(self.folder.path())
            .arg("-c")
            .arg(conf)
            .args(["-e", "stderr"]);
        command
    }

    /// What `nginx -t` says.
    pub(crate) fn test(&self, text: &str) -> Verdict {
        let output = self.command(text).arg("-t").output().expect("run nginx -t");
        if output.status.success() {
            return Verdict::Accepted;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let emerg = said
            .lines()
            .find_map(|line| line.split_once("[emerg] ")?.1.split_once(": "))
            .map_or_else(|| said.clone().into_owned(), |(_, rest)| rest.to_owned());
        let lexical = [
            "unexpected \"",
            "unexpected end of file",
            "too long parameter",
        ];
        if lexical.iter().any(|start| emerg.starts_with(start)) {
            Verdict::Syntax(emerg)
        } else {
            Verdict::Meaning(emerg)
        }
    }

    /// Starts it and waits until it answers on its socket.
    pub(crate) fn start(self, text: &str) -> Running {
        // One process: nothing is left over when it is killed.
        let process = self
            .command(text)
            .args(["-g", "daemon off; master_process off;"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("start nginx");
        let mut running = Running {
            process,
            nginx: self,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(running.nginx.socket()).is_err() {
            if let Some(status) = running.process.try_wait().expect("look at nginx") {
                let mut said = String::new();
                let stderr = running.process.stderr.as_mut().expect("its words");
                stderr.read_to_string(&mut said).expect("read its words");
                panic!("nginx ended with {status}: {said}");
            }
            assert!(Instant::now() < deadline, "nginx does not serve");
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }
}

/// A running nginx; stopped when dropped.
pub(crate) struct Running {
    process: Child,
    nginx: Nginx,
}

impl Running {
    /// The body of the answer to `GET path`.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.nginx.socket()).expect("connect to nginx");
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("send a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("read the answer");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        answer.split_off(end.expect("a header") + 4)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

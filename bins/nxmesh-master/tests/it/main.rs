//! The program as people start it.
#![expect(clippy::unwrap_used, reason = "that is how tests fail")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const PASSWORD: &str = "correct horse battery staple";

struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        Self { folder }
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn master(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nxmesh-master"));
        command
            .env_clear()
            .env("NXMESH_DATA_DIR", self.data_dir())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn init(&self) -> Output {
        let password = self.folder.path().join("password");
        let password = password.to_str().unwrap();
        self.master(&[
            "init",
            "--admin-user",
            "ops",
            "--admin-password-file",
            password,
        ])
        .output()
        .unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_first_start_is_made_once() {
    let rig = Rig::new();
    let first = rig.init();
    assert!(first.status.success(), "{}", said(&first));
    let before = listing(&rig.data_dir());
    let second = rig.init();
    assert_eq!(second.status.code(), Some(5), "{}", said(&second));
    assert!(
        said(&second).contains("nothing was changed"),
        "{}",
        said(&second)
    );
    assert_eq!(listing(&rig.data_dir()), before);
    assert!(!said(&first).contains(PASSWORD) && !said(&second).contains(PASSWORD));
}

/// The keys and certificates with their contents.
fn listing(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|it| it == "pem" || it == "key")
        })
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    files
}

/// A running master; killed if the test ends early.
struct Running {
    child: Child,
    api: String,
    agents: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Running {
    /// Starts a master that logs everything it can.
    fn start(rig: &Rig) -> Self {
        let log = fs::File::create(rig.log()).unwrap();
        let mut child = rig
            .master(&[
                "--api-listen",
                "127.0.0.1:0",
                "--agent-listen",
                "127.0.0.1:0",
                "--log",
                "trace",
            ])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = |start: &str| {
            let line = lines.next().unwrap().unwrap();
            let rest = line.strip_prefix(start);
            rest.unwrap_or_else(|| panic!("not `{start}…`: {line}"))
                .to_owned()
        };
        let api = next("api listening on http://");
        let agents = next("agents connect to https://");
        Self { child, api, agents }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.api).unwrap();
        write!(stream, "{request}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn post(&self, path: &str, token: &str, body: &str) -> String {
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.api,
            body.len()
        ))
    }

    fn log_in(&self) -> String {
        let body = format!(r#"{{"username":"ops","password":"{PASSWORD}"}}"#);
        self.post("/api/v1/auth/login", "", &body)
    }
}

/// The text between the quotes after `"name":`.
fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    let (_, rest) = answer
        .split_once(&format!("\"{name}\":\""))
        .unwrap_or_else(|| panic!("no {name} in {answer}"));
    rest.split('"').next().unwrap()
}

#[test]
fn secrets_are_not_logged_even_when_everything_is() {
    let rig = Rig::new();
    assert!(rig.init().status.success());
    let running = Running::start(&rig);
    let answer = running.log_in();
    let token = field(&answer, "access_token");
    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let json = |pem: &str| pem.replace('\n', "\\n");
    let document = format!(
        r#"{{"kind":"Certificate","metadata":{{"name":"shop"}},"spec":{{"certificate":"{}","private_key":"{}"}}}}"#,
        json(&made.cert.pem()),
        json(&key)
    );
    let apply = "/api/v1/workspaces/default/apply";
    let applied = running.post(apply, token, &document);
    assert!(applied.starts_with("HTTP/1.1 200"), "{applied}");
    let broken = document.replace("\"certificate\":", "\"certificat\":");
    let refused = running.post(apply, token, &broken);
    assert!(refused.starts_with("HTTP/1.1 422"), "{refused}");
    let tokens = "/api/v1/workspaces/default/agents/bootstrap-tokens";
    let enrolment = running.post(tokens, token, "{}");
    let bootstrap = field(&enrolment, "token");

    drop(running);
    let log = fs::read_to_string(rig.log()).unwrap();
    assert!(log.contains(apply), "nothing was logged: {log}");
    let line = key.lines().nth(1).unwrap();
    for secret in [PASSWORD, token, line, bootstrap] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    // At rest neither.
    for file in fs::read_dir(rig.data_dir()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in [PASSWORD, line, bootstrap] {
            assert!(!text.contains(secret), "{secret} is on disk");
        }
    }
}

#[test]
fn it_serves_until_it_is_told_to_stop_and_again_after_a_kill() {
    let rig = Rig::new();
    assert!(rig.init().status.success());
    let mut running = Running::start(&rig);
    assert!(
        running
            .agents
            .starts_with(|c: char| c.is_ascii_alphanumeric())
    );
    let answer = running.log_in();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("access_token"), "{answer}");

    let second = rig
        .master(&["--api-listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        said(&second).contains("another master uses"),
        "{}",
        said(&second)
    );

    running.child.kill().unwrap();
    running.child.wait().unwrap();
    let mut running = Running::start(&rig);
    assert!(running.log_in().starts_with("HTTP/1.1 200"));
    let pid = Pid::from_raw(running.child.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert!(running.child.wait().unwrap().success());
}

#[test]
fn backends_that_are_not_built_in_are_named() {
    let rig = Rig::new();
    for (flag, url, feature) in [
        (
            "--database-url",
            "postgres://user:hidden@db/nxmesh",
            "`postgres`",
        ),
        ("--redis-url", "redis://:hidden@cache", "`redis`"),
    ] {
        let output = rig.master(&["run", flag, url]).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert!(
            said(&output).contains("built without feature"),
            "{}",
            said(&output)
        );
        assert!(said(&output).contains(feature), "{}", said(&output));
        assert!(!said(&output).contains("hidden"), "{}", said(&output));
    }
    assert!(!rig.data_dir().exists());
}

#[test]
fn settings_are_checked_and_printed_without_secrets() {
    let rig = Rig::new();
    let file = rig.folder.path().join("master.toml");
    fs::write(&file, "api_listen = \"127.0.0.1:9000\"\n").unwrap();
    let file = file.to_str().unwrap();
    let url = "sqlite:///tmp/hidden.db";
    let printed = rig
        .master(&["config", "print", "--config", file, "--database-url", url])
        .output()
        .unwrap();
    assert!(printed.status.success(), "{}", said(&printed));
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(text.contains("api_listen = \"127.0.0.1:9000\""), "{text}");
    assert!(text.contains("database_url = \"***\""), "{text}");

    fs::write(file, "api_lisen = \"127.0.0.1:9000\"\n").unwrap();
    let checked = rig
        .master(&["config", "check", "--config", file])
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(3));
    assert!(
        said(&checked).contains("did you mean `api_listen`?"),
        "{}",
        said(&checked)
    );
}

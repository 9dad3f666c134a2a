//! What behaves like a container engine with one container: the calls, statuses,
//! errors and streams of the Docker Engine API as documented. The container is a
//! real nginx in the foreground.

use std::{
    collections::HashMap,
    convert::Infallible,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use nxmesh_agent_lib::testkit::{RealNginx, stop_nginx_in};
use serde_json::{Value, json};
use tokio::{net::UnixListener, process::Command};

pub(crate) const NAME: &str = "web";
const ID: &str = "4fa6e0f0c6786287e131c3852c58a2e01cc697a68231826813597e4994f1d6e2";

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// What becomes of the container.
#[derive(Default)]
struct Run {
    /// As this machine counts; 0 for none.
    pid: u32,
    exit_code: i32,
    paused: bool,
    started: Option<SystemTime>,
}

pub(crate) struct Container {
    binary: PathBuf,
    dir: PathBuf,
    conf: PathBuf,
    run: Mutex<Run>,
    execs: Mutex<HashMap<String, Exec>>,
    serial: AtomicU32,
    /// Added to every process id, as if this were another machine's counting.
    pub(crate) offset: AtomicU32,
    /// The first process is a shell.
    pub(crate) under_a_shell: AtomicBool,
    /// Commands run in it say so much more, on standard output.
    pub(crate) chatter: AtomicUsize,
    /// The log driver does not give back what it logs.
    pub(crate) keeps_no_log: AtomicBool,
    /// Where volumes are mounted.
    pub(crate) mounts: Mutex<Vec<PathBuf>>,
}

struct Exec {
    command: Vec<String>,
    exit_code: Option<i32>,
}

impl Container {
    /// Standard error of the container, each line with the time it is of.
    fn log(&self) -> PathBuf {
        self.dir.join("container.log")
    }

    /// Where in the log the last lines begin.
    fn tail(&self, lines: usize) -> usize {
        let said = fs::read(self.log()).unwrap_or_default();
        let last = said.split_inclusive(|it| *it == b'\n').rev().take(lines);
        said.len() - last.map(<[u8]>::len).sum::<usize>()
    }

    /// Where in the log that begins which was said from then on. The engine knows
    /// when each line came; here, only whether all came since.
    fn since(&self, since: f64) -> usize {
        let started = self.run.lock().unwrap().started;
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        match started.is_some_and(|started| seconds(started) >= since) {
            true => 0,
            false => self.tail(0),
        }
    }

    fn is_running(&self) -> bool {
        let mut run = self.run.lock().unwrap();
        let pid = run.pid;
        if pid != 0 && !Path::new(&format!("/proc/{pid}/exe")).exists() {
            run.pid = 0;
            run.exit_code = 137;
        }
        run.pid != 0
    }

    fn start(self: &Arc<Self>) {
        File::create(self.log()).unwrap();
        // nginx may write to it by itself, and nobody over what another said.
        let log = File::options().append(true).open(self.log()).unwrap();
        // Process ids of its own: nginx calls itself 1.
        let mut child = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child"])
            .arg(&self.binary)
            .arg("-p")
            .arg(&self.dir)
            .arg("-c")
            .arg(&self.conf)
            .args(["-g", "daemon off;"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let outside = child.id().unwrap();
        let children = format!("/proc/{outside}/task/{outside}/children");
        let pid = loop {
            let listed = fs::read_to_string(&children).expect("unshare may make a namespace");
            if let Some(pid) = listed.split_whitespace().next() {
                break pid.parse().unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        {
            let mut run = self.run.lock().unwrap();
            run.pid = pid;
            run.started = Some(SystemTime::now());
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let status = child.wait().await.unwrap();
            let mut run = this.run.lock().unwrap();
            if run.pid == pid {
                run.pid = 0;
                run.exit_code = status.code().unwrap_or(137);
            }
        });
    }

    fn inspect(&self) -> Value {
        let running = self.is_running();
        let run = self.run.lock().unwrap();
        let status = match (running, run.paused, run.started) {
            (true, true, _) => "paused",
            (true, false, _) => "running",
            (false, _, Some(_)) => "exited",
            (false, _, None) => "created",
        };
        let pid = match run.pid {
            0 => 0,
            main => self.first(main) + self.offset.load(Ordering::SeqCst),
        };
        let mounts: Vec<Value> = self
            .mounts
            .lock()
            .unwrap()
            .iter()
            .map(|path| json!({ "Type": "bind", "Source": path, "Destination": path, "RW": true }))
            .collect();
        json!({
            "Id": ID, "Name": format!("/{NAME}"), "RestartCount": 0,
            "State": {
                "Status": status, "Running": running, "Paused": run.paused, "Restarting": false,
                "Pid": pid, "ExitCode": run.exit_code, "Error": "",
            },
            "Config": { "Tty": false, "Image": "nginx" }, "Mounts": mounts,
        })
    }

    /// The first process of the container: nginx, or the shell that started it.
    fn first(&self, main: u32) -> u32 {
        if !self.under_a_shell.load(Ordering::SeqCst) {
            return main;
        }
        let status = fs::read_to_string(format!("/proc/{main}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        parent.and_then(|it| it.trim().parse().ok()).unwrap_or(main)
    }

    fn top(&self) -> Value {
        let main = self.run.lock().unwrap().pid;
        let first = self.first(main);
        let offset = self.offset.load(Ordering::SeqCst);
        let listed = std::process::Command::new("ps")
            .args(["-eo", "pid,ppid,stat,args", "-ww"])
            .output()
            .expect("ps is installed (Debian: procps)");
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let mut processes: Vec<Vec<String>> = Vec::new();
        for line in text.lines().skip(1) {
            let mut words = line.split_whitespace();
            let mut number = || {
                words
                    .next()
                    .and_then(|it| it.parse::<u32>().ok())
                    .unwrap_or(0)
            };
            let (pid, parent) = (number(), number());
            if ![main, first].contains(&pid) && parent != main {
                continue;
            }
            let state = words.next().unwrap_or_default().to_owned();
            let mut title = words.collect::<Vec<_>>().join(" ");
            if pid == first && first != main {
                title = "/bin/sh /entrypoint.sh".to_owned();
            }
            let (pid, parent) = (pid + offset, parent + offset);
            processes.push(vec![pid.to_string(), parent.to_string(), state, title]);
        }
        json!({ "Titles": ["PID", "PPID", "STAT", "COMMAND"], "Processes": processes })
    }

    async fn stop(&self, grace: Duration) {
        let pid = Pid::from_raw(i32::try_from(self.run.lock().unwrap().pid).unwrap());
        assert!(pid.as_raw() > 1);
        let begun = std::time::Instant::now();
        let mut signal = Signal::SIGTERM;
        while self.is_running() {
            if signal == Signal::SIGTERM || begun.elapsed() > grace {
                // The kernel ends all that has its process ids from this one.
                kill(pid, signal).ok();
                signal = Signal::SIGKILL;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.run.lock().unwrap().pid;
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
    }
}

/// The engine, on a socket in the folder of its nginx.
pub(crate) struct FakeEngine {
    pub(crate) socket: PathBuf,
    pub(crate) container: Arc<Container>,
    task: tokio::task::AbortHandle,
}

impl FakeEngine {
    pub(crate) fn start(nginx: &RealNginx) -> Self {
        let container = Arc::new(Container {
            binary: nginx.binary().to_owned(),
            dir: nginx.dir().to_owned(),
            conf: nginx.conf(),
            run: Mutex::default(),
            execs: Mutex::default(),
            serial: AtomicU32::new(0),
            offset: AtomicU32::new(0),
            under_a_shell: AtomicBool::new(false),
            chatter: AtomicUsize::new(0),
            keeps_no_log: AtomicBool::new(false),
            mounts: Mutex::new(vec![nginx.dir().to_owned()]),
        });
        let socket = nginx.dir().join("engine");
        let listener = UnixListener::bind(&socket).unwrap();
        let served = Arc::clone(&container);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let container = Arc::clone(&served);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let container = Arc::clone(&container);
                        async move { Ok::<_, Infallible>(answer(&container, request).await) }
                    });
                    http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                        .ok();
                });
            }
        });
        Self {
            socket,
            container,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.container.run.lock().unwrap().paused = paused;
    }

    /// The container ends, with all that is in it.
    pub(crate) fn kill(&self) {
        stop_nginx_in(&self.container.dir);
        while self.container.is_running() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(container: &Arc<Container>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let query: HashMap<&str, &str> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    let conflict = || {
        let message = format!("container {ID} is not running");
        refuse(StatusCode::CONFLICT, &message)
    };
    let ours = |name: &str| name == NAME || (name.len() >= 12 && ID.starts_with(name));
    match (&head.method, &path[..]) {
        (_, ["containers", name, ..]) if !ours(name) => {
            refuse(StatusCode::NOT_FOUND, &format!("No such container: {name}"))
        }
        (&Method::GET, ["containers", _, "json"]) => good(&container.inspect()),
        (&Method::GET, ["containers", _, "top"]) if !container.is_running() => conflict(),
        (&Method::GET, ["containers", _, "top"]) => {
            assert_eq!(query.get("ps_args"), Some(&"-eo%20pid,ppid,stat,args"));
            good(&container.top())
        }
        (&Method::POST, ["containers", _, "kill"]) if !container.is_running() => conflict(),
        (&Method::POST, ["containers", _, "kill"]) => {
            container.signal(match query["signal"] {
                "HUP" => Signal::SIGHUP,
                "QUIT" => Signal::SIGQUIT,
                other => panic!("signal {other}"),
            });
            status(StatusCode::NO_CONTENT)
        }
        (&Method::POST, ["containers", _, "start"]) => {
            if container.is_running() {
                return status(StatusCode::NOT_MODIFIED);
            }
            container.start();
            status(StatusCode::NO_CONTENT)
        }
        (&Method::POST, ["containers", _, "stop"]) => {
            if !container.is_running() {
                return status(StatusCode::NOT_MODIFIED);
            }
            let grace = Duration::from_secs(query["t"].parse().unwrap());
            container.stop(grace).await;
            status(StatusCode::NO_CONTENT)
        }
        (&Method::GET, ["containers", _, "logs"])
            if container.keeps_no_log.load(Ordering::SeqCst) =>
        {
            let message = "configured logging driver does not support reading";
            refuse(StatusCode::NOT_IMPLEMENTED, message)
        }
        (&Method::GET, ["containers", _, "logs"]) => {
            let from = match query.get("tail") {
                Some(lines) => {
                    // Standard output has the requests.
                    assert_eq!((query["stderr"], query["stdout"]), ("1", "0"));
                    container.tail(lines.parse().unwrap())
                }
                None => container.since(query["since"].parse().unwrap()),
            };
            logs(container, from, query.get("follow") == Some(&"1"))
        }
        (&Method::POST, ["containers", _, "exec"]) => {
            if !container.is_running() {
                return conflict();
            }
            if container.run.lock().unwrap().paused {
                let message =
                    format!("Container {ID} is paused, unpause the container before exec");
                return refuse(StatusCode::CONFLICT, &message);
            }
            let asked: Value = serde_json::from_slice(&body).unwrap();
            let command = serde_json::from_value(asked["Cmd"].clone()).unwrap();
            let id = format!("e{}", container.serial.fetch_add(1, Ordering::SeqCst));
            let exec = Exec {
                command,
                exit_code: None,
            };
            container.execs.lock().unwrap().insert(id.clone(), exec);
            let mut made = good(&json!({ "Id": id }));
            *made.status_mut() = StatusCode::CREATED;
            made
        }
        (&Method::POST, ["exec", id, "start"]) => execute(container, id).await,
        (&Method::GET, ["exec", id, "json"]) => {
            let execs = container.execs.lock().unwrap();
            let Some(exec) = execs.get(*id) else {
                return refuse(
                    StatusCode::NOT_FOUND,
                    &format!("No such exec instance: {id}"),
                );
            };
            let running = exec.exit_code.is_none();
            good(&json!({ "ID": id, "Running": running, "ExitCode": exec.exit_code }))
        }
        _ => refuse(StatusCode::NOT_FOUND, "page not found"),
    }
}

/// Runs it, and answers with its output in frames of their own.
async fn execute(container: &Arc<Container>, id: &str) -> Answer {
    let command = match container.execs.lock().unwrap().get(id) {
        Some(exec) => exec.command.clone(),
        None => {
            return refuse(
                StatusCode::NOT_FOUND,
                &format!("No such exec instance: {id}"),
            );
        }
    };
    let ran = Command::new(&command[0]).args(&command[1..]).output().await;
    let (code, mut output) = match ran {
        Ok(ran) => {
            let output = [frames(1, &ran.stdout), frames(2, &ran.stderr)].concat();
            (ran.status.code().unwrap_or(137), output)
        }
        Err(error) => {
            let said = format!("OCI runtime exec failed: exec failed: {error}: unknown");
            (127, frames(2, said.as_bytes()))
        }
    };
    let chatter = container.chatter.load(Ordering::SeqCst);
    output.extend(frames(1, "x".repeat(chatter).as_bytes()));
    container
        .execs
        .lock()
        .unwrap()
        .get_mut(id)
        .unwrap()
        .exit_code = Some(code);
    // In pieces that end anywhere.
    let pieces: Vec<_> = output
        .chunks(7000)
        .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    Response::builder()
        .header("content-type", "application/vnd.docker.multiplexed-stream")
        .body(StreamBody::new(stream::iter(pieces)).boxed())
        .unwrap()
}

/// The log from there on, and what comes while somebody reads it.
fn logs(container: &Arc<Container>, at: usize, follow: bool) -> Answer {
    let path = container.log();
    let container = Arc::clone(container);
    let read = move |at: usize| fs::read(&path).unwrap_or_default().split_off(at);
    let body = stream::unfold(at, move |at| {
        let (read, container) = (read.clone(), Arc::clone(&container));
        async move {
            loop {
                let running = container.is_running();
                let said = read(at);
                if !said.is_empty() {
                    let next = at + said.len();
                    let frame = Frame::data(Bytes::from(frames(2, &said)));
                    return Some((Ok::<_, Infallible>(frame), next));
                }
                if !follow || !running {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    Response::new(StreamBody::new(SyncStream::new(body)).boxed())
}

/// Bodies have to be `Sync`, which a stream behind a lock is.
struct SyncStream<S>(Mutex<std::pin::Pin<Box<S>>>);

impl<S> SyncStream<S> {
    fn new(stream: S) -> Self {
        Self(Mutex::new(Box::pin(stream)))
    }
}

impl<S: futures_util::Stream> futures_util::Stream for SyncStream<S> {
    type Item = S::Item;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        self.0.lock().unwrap().as_mut().poll_next(context)
    }
}

/// One frame per line, as the engine writes them.
fn frames(stream: u8, said: &[u8]) -> Vec<u8> {
    said.split_inclusive(|byte| *byte == b'\n')
        .flat_map(|line| {
            let length = u32::try_from(line.len()).unwrap().to_be_bytes();
            [&[stream, 0, 0, 0], &length[..], line].concat()
        })
        .collect()
}

fn good(body: &Value) -> Answer {
    Response::builder()
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())).boxed())
        .unwrap()
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()).boxed());
    *answer.status_mut() = status;
    answer
}

fn refuse(status: StatusCode, message: &str) -> Answer {
    let mut answer = good(&json!({ "message": message }));
    *answer.status_mut() = status;
    answer
}

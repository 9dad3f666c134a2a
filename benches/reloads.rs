//! Fifty reloads under load, and what they cost clients.
//!
//! Everything is real: a master, an agent, its nginx, and clients of four kinds that ask all the
//! time. Fifty changes are applied, one as soon as nginx serves the one before. Then the agent is
//! stopped, and on the same nginx, under the same load and as often, `nginx -s reload` is called
//! with nothing changed.
//!
//! `cargo xtask bench reloads [RELOADS]`

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nxmesh_e2e::certificate::SelfSigned;
use nxmesh_e2e::load::{self, Load};
use nxmesh_e2e::node::Node;
use nxmesh_e2e::{Cluster, wait};

const HOST: &str = "busy.test";
const VIRTUAL_HOSTS: usize = 50;
/// Of each kind.
const CLIENTS: usize = 2;
/// How long a client thinks after an answer.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two messages on an upgraded connection.
const TICK: Duration = Duration::from_millis(20);

fn main() -> Result<()> {
    // cargo adds `--bench`.
    let reloads = std::env::args().skip(1).find_map(|it| it.parse().ok());
    let reloads: u32 = reloads.unwrap_or(50);
    let mut cluster = Cluster::start(1)?;
    let echo = echo()?;
    let node = &cluster.nodes[0];
    cluster.apply(&documents(node, echo, 0)?)?.success()?;
    let token = cluster.master.token()?;

    println!("{reloads} reloads of {VIRTUAL_HOSTS} virtual hosts under load\n");
    let clients = Clients::start(node)?;
    let started = Instant::now();
    for change in 1..=reloads {
        let documents = host(node, change)?;
        let response = cluster.master.post_apply(&token, &documents)?;
        ensure!(response.status == 200, "apply: {}", response.text());
        wait::until("nginx serves the change", || {
            let served = cluster.nodes[0].http(HOST, "/version").get();
            let version = format!("version {change}");
            Ok(served.is_ok_and(|it| it.text() == version).then_some(()))
        })?;
    }
    let each = started.elapsed() / reloads;
    let ours = clients.finish(&cluster.nodes[0])?;

    let pid = Pid::from_raw(i32::try_from(cluster.nodes[0].process()?.pid())?);
    kill(pid, Signal::SIGSTOP)?;
    let clients = Clients::start(&cluster.nodes[0])?;
    for _ in 0..reloads {
        bare(&cluster)?;
        thread::sleep(each);
    }
    let bare = clients.finish(&cluster.nodes[0])?;
    kill(pid, Signal::SIGCONT)?;

    println!("one each {:.0} ms", each.as_secs_f64() * 1e3);
    for ((kind, ours), bare) in KINDS.iter().zip(&ours.counts).zip(&bare.counts) {
        println!("{kind}\n  nxmesh           {ours}\n  nginx -s reload  {bare}");
        let limit = if *kind == KEPT { bare.failures() } else { 0 };
        let kept = if ours.failures() <= limit {
            "kept"
        } else {
            "MISSED"
        };
        println!("  budget: {} of {limit} failed, {kept}", ours.failures());
    }
    for (name, seen) in [("nxmesh", &ours), ("nginx -s reload", &bare)] {
        println!(
            "{name}: at the end {} workers of nginx, {:.0} MB",
            seen.workers,
            seen.bytes as f64 / 1e6
        );
    }
    Ok(())
}

/// What people do.
fn bare(cluster: &Cluster) -> Result<()> {
    let node = &cluster.nodes[0];
    let reloaded = Command::new(&cluster.programs().nginx)
        .args(["-s", "reload", "-p"])
        .arg(node.folder().join("prefix"))
        .arg("-c")
        .arg(node.state_dir().join("nginx.conf"))
        .stderr(Stdio::null())
        .status()
        .context("could not start nginx")?;
    ensure!(reloaded.success(), "nginx -s reload: {reloaded}");
    Ok(())
}

const KEPT: &str = "HTTP/1.1, kept connections, asked once more where they were closed";
const KINDS: [&str; 4] = [
    "HTTP/1.1, a new connection each",
    KEPT,
    "HTTP/2 over TLS",
    "upgraded connections (WebSocket)",
];

/// Clients of all kinds.
struct Clients {
    load: Load,
    stop: Arc<AtomicBool>,
    http2: JoinHandle<Result<load::Count>>,
    upgraded: Vec<JoinHandle<load::Count>>,
}

/// What was seen.
struct Seen {
    counts: [load::Count; 4],
    workers: usize,
    bytes: u64,
}

impl Clients {
    fn start(node: &Node) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let load = Load::start(load::Options {
            targets: vec![node.http(HOST, "/")],
            new_connections: CLIENTS,
            keep_alive: CLIENTS,
            pause: PAUSE,
            expected: Arc::new(|response| response.status == 200),
        });
        let (address, stopped) = (node.https(HOST, "/").address, Arc::clone(&stop));
        let http2 = thread::spawn(move || http2(address, &stopped));
        let address = node.http(HOST, "/").address;
        let upgraded = (0..CLIENTS).map(|_| {
            let stopped = Arc::clone(&stop);
            thread::spawn(move || upgraded(address, &stopped))
        });
        Ok(Self {
            load,
            http2,
            upgraded: upgraded.collect(),
            stop,
        })
    }

    fn finish(self, node: &Node) -> Result<Seen> {
        let nginx = node.nginx();
        let bytes = nginx.iter().map(|pid| resident(*pid)).sum();
        self.stop.store(true, Ordering::Relaxed);
        let tally = self.load.finish();
        let ended = || anyhow::anyhow!("a client ended early");
        let http2 = self.http2.join().map_err(|_| ended())??;
        let mut upgraded = load::Count::default();
        for client in self.upgraded {
            let count = client.join().map_err(|_| ended())?;
            upgraded.requests += count.requests;
            for (kind, number) in count.failed {
                *upgraded.failed.entry(kind).or_default() += number;
            }
        }
        Ok(Seen {
            counts: [tally.new_connections, tally.keep_alive, http2, upgraded],
            workers: nginx.len().saturating_sub(1),
            bytes,
        })
    }
}

/// The memory of a process, in bytes.
fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.unwrap_or(0) * 1024
}

/// Clients that keep an HTTP/2 connection as long as the server does.
fn http2(address: SocketAddr, stop: &AtomicBool) -> Result<load::Count> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = reqwest::Client::builder()
        .resolve(HOST, address)
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    let url = format!("https://{HOST}:{}/", address.port());
    let mut count = load::Count::default();
    runtime.block_on(async {
        while !stop.load(Ordering::Relaxed) {
            count.requests += 1;
            let failure = match client.get(&url).send().await {
                Ok(answer) if answer.version() != reqwest::Version::HTTP_2 => Some("not HTTP/2"),
                Ok(answer) if answer.status() != 200 => Some("another status"),
                Ok(answer) => answer.bytes().await.err().map(|_| "cut short"),
                Err(error) => Some(if error.is_connect() {
                    "not connected"
                } else {
                    "no answer"
                }),
            };
            fail(&mut count.failed, failure);
            tokio::time::sleep(PAUSE).await;
        }
    });
    Ok(count)
}

fn fail(failed: &mut BTreeMap<String, u64>, kind: Option<impl fmt::Display>) {
    if let Some(kind) = kind {
        *failed.entry(kind.to_string()).or_default() += 1;
    }
}

/// A connection that is upgraded once, and carries messages to an echo and back.
fn upgraded(address: SocketAddr, stop: &AtomicBool) -> load::Count {
    let mut count = load::Count::default();
    while !stop.load(Ordering::Relaxed) {
        count.requests += 1;
        let ended = talk(address, stop, &mut count.requests);
        fail(&mut count.failed, ended.err().map(|error| error.kind()));
    }
    count
}

fn talk(address: SocketAddr, stop: &AtomicBool, messages: &mut u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let head = head(&mut stream)?;
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    while !stop.load(Ordering::Relaxed) {
        *messages += 1;
        let message = messages.to_be_bytes();
        stream.write_all(&message)?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer)?;
        if answer != message {
            return Err(io::ErrorKind::InvalidData.into());
        }
        thread::sleep(TICK);
    }
    Ok(())
}

/// Everything up to an empty line.
fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

/// A server that upgrades every connection and says what it hears.
fn echo() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                head(&mut stream)?;
                stream.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                )?;
                let mut buffer = [0; 1024];
                loop {
                    match stream.read(&mut buffer)? {
                        0 => return io::Result::Ok(()),
                        read => stream.write_all(&buffer[..read])?,
                    }
                }
            });
        }
    });
    Ok(port)
}

fn documents(node: &Node, echo: u16, change: u32) -> Result<String> {
    let issued = SelfSigned::new(HOST)?;
    let others: String = (1..VIRTUAL_HOSTS)
        .map(|number| node.answering(&format!("h{number}"), &format!("h{number}.test"), "quiet"))
        .collect();
    Ok(format!(
        "{}---\n{}{others}kind: Upstream\nmetadata: {{ name: echo }}\n\
         spec: {{ servers: [{{ address: \"127.0.0.1:{echo}\" }}] }}\n",
        issued.document("busy"),
        host(node, change)?
    ))
}

fn host(node: &Node, change: u32) -> Result<String> {
    let (plain, secure) = (node.http(HOST, "/").address, node.https(HOST, "/").address);
    Ok(format!(
        "kind: VirtualHost\nmetadata: {{ name: busy }}\nspec:\n  server_names: [{HOST}]\n  \
         listen: [{{ port: {}, address: 127.0.0.1 }}, \
         {{ port: {}, address: 127.0.0.1, tls: true, http2: true }}]\n  \
         tls: {{ certificate: busy }}\n  locations:\n    \
         - {{ path: /, respond: {{ status: 200, body: hello }} }}\n    \
         - {{ path: /version, respond: {{ status: 200, body: \"version {change}\" }} }}\n    \
         - {{ path: /ws, proxy: {{ upstream: echo, websocket: true, timeouts: {{ read: 1h }} }} }}\n---\n",
        plain.port(),
        secure.port()
    ))
}

//! One change, and how long until every nginx of a fleet serves it.
//!
//! Everything is real: a master, agents as processes, an nginx beside each, 20 virtual hosts on each
//! nginx. A revision changes one virtual host on each of them; the clock runs from the REST call until
//! the nginx answers the new text on a new connection. In the same rounds, on the same instances, the
//! same change is made by what people do without NxMesh, while the agents are stopped:
//!
//! - a shell loop of `cp`, `nginx -t` and `nginx -s reload`, one after the other and four at once;
//! - the floor: rename a file and send SIGHUP, nothing checked and nothing confirmed.
//!
//! `cargo xtask bench apply [AGENTS…]`; without numbers 10 and 50.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nxmesh_e2e::node::Node;
use nxmesh_e2e::{Cluster, wait};

const ROUNDS: usize = 7;
const VIRTUAL_HOSTS: usize = 20;
/// Between two looks at all instances; what is measured is this coarse.
const PAUSE: Duration = Duration::from_millis(5);
const HOST: &str = "changed.test";

fn main() -> Result<()> {
    // cargo adds `--bench`.
    let counts: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let counts = if counts.is_empty() {
        vec![10, 50]
    } else {
        counts
    };
    println!(
        "one change to N nginx with {VIRTUAL_HOSTS} virtual hosts each, median of {ROUNDS} rounds, ms"
    );
    for count in counts {
        measure(count)?;
    }
    Ok(())
}

fn measure(count: usize) -> Result<()> {
    let mut bench = Bench::start(count)?;
    let mut results: [Vec<Spread>; 4] = Default::default();
    for _ in 0..ROUNDS {
        results[0].push(bench.round(Way::NxMesh)?);
        bench.agents(Signal::SIGSTOP)?;
        for (results, way) in results[1..].iter_mut().zip([
            Way::Shell { at_once: 1 },
            Way::Shell { at_once: 4 },
            Way::Floor,
        ]) {
            results.push(bench.round(way)?);
        }
        bench.restore()?;
        bench.agents(Signal::SIGCONT)?;
    }
    let names = [
        "nxmesh",
        "shell loop",
        "shell loop, xargs -P4",
        "floor: rename + HUP",
    ];
    println!("\nN = {count}{:>29} {:>8} {:>8}", "first", "median", "last");
    let medians = results.map(|rounds| Spread::median(&rounds));
    for (name, spread) in names.iter().zip(&medians) {
        let Spread {
            first,
            median,
            last,
        } = spread;
        println!("  {name:<28} {first:>6.0}   {median:>6.0}   {last:>6.0}");
    }
    let [nxmesh, _, parallel, _] = medians;
    budget(
        "last agent below the parallel shell loop's",
        nxmesh.last,
        parallel.last,
    );
    budget("first agent within 200 ms", nxmesh.first, 200.0);
    Ok(())
}

fn budget(name: &str, figure: f64, limit: f64) {
    let verdict = if figure <= limit { "kept" } else { "MISSED" };
    println!("  budget: {name}: {figure:.0} of {limit:.0} ms, {verdict}");
}

#[derive(Clone, Copy)]
enum Way {
    NxMesh,
    Shell { at_once: usize },
    Floor,
}

/// When the first, the middle and the last instance served the change.
#[derive(Clone, Copy)]
struct Spread {
    first: f64,
    median: f64,
    last: f64,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |index: usize| {
            times
                .get(index)
                .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        Self {
            first: at(0),
            median: at(times.len() / 2),
            last: at(times.len() - 1),
        }
    }

    fn median(rounds: &[Self]) -> Self {
        let middle = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
            figures.sort_unstable_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        Self {
            first: middle(|spread| spread.first),
            median: middle(|spread| spread.median),
            last: middle(|spread| spread.last),
        }
    }
}

struct Bench {
    cluster: Cluster,
    token: String,
    change: usize,
    /// What the agents believe to be served, and how to bring it back: each file with its contents.
    originals: Vec<(PathBuf, String)>,
}

impl Bench {
    fn start(count: usize) -> Result<Self> {
        let cluster = Cluster::start(count)?;
        let mut documents: String = (0..VIRTUAL_HOSTS).map(upstream).collect();
        for node in &cluster.nodes {
            documents.extend(
                (1..VIRTUAL_HOSTS).map(|number| {
                    virtual_host(node, number, &format!("{number}.test"), "unchanged")
                }),
            );
            documents += &virtual_host(node, 0, HOST, "change 0");
        }
        cluster.apply(&documents)?.success()?;
        let token = cluster.master.token()?;
        Ok(Self {
            cluster,
            token,
            change: 0,
            originals: Vec::new(),
        })
    }

    /// Makes one change in this way, and waits until every instance serves it.
    fn round(&mut self, way: Way) -> Result<Spread> {
        let old = format!("change {}", self.change);
        self.change += 1;
        let new = format!("change {}", self.change);
        let files = match way {
            Way::NxMesh => Vec::new(),
            Way::Shell { .. } | Way::Floor => self.prepare(&old, &new)?,
        };
        if self.originals.is_empty() {
            let original = |file: &Changed| (file.live.clone(), file.original.clone());
            self.originals = files.iter().map(original).collect();
        }
        let documents: String = match way {
            Way::NxMesh => {
                let changed = |node| virtual_host(node, 0, HOST, &new);
                self.cluster.nodes.iter().map(changed).collect()
            }
            Way::Shell { .. } | Way::Floor => String::new(),
        };
        let started = Instant::now();
        let watched = thread::scope(|scope| {
            let watch = scope.spawn(|| serving(&self.cluster.nodes, &new, started));
            let made = match way {
                Way::NxMesh => self.post(&documents),
                Way::Shell { at_once } => self.shell(&files, at_once),
                Way::Floor => self.floor(&files),
            };
            let watched = watch
                .join()
                .map_err(|_| anyhow::anyhow!("the watch failed"))?;
            made.and(watched)
        })?;
        self.quiet()?;
        Ok(Spread::of(watched))
    }

    fn post(&self, documents: &str) -> Result<()> {
        let response = self.cluster.master.post_apply(&self.token, documents)?;
        ensure!(response.status == 200, "apply: {}", response.text());
        Ok(())
    }

    /// Waits for the old workers' end, and for the agents' confirmation: rounds must not overlap.
    fn quiet(&self) -> Result<()> {
        wait::until("every nginx has the workers of one generation", || {
            let settled = self.cluster.nodes.iter().all(|node| {
                node.nginx().iter().skip(1).all(|pid| {
                    let title = fs::read_to_string(format!("/proc/{pid}/cmdline"));
                    title.is_ok_and(|title| !title.contains("shutting down"))
                })
            });
            Ok(settled.then_some(()))
        })?;
        thread::sleep(Duration::from_millis(500));
        Ok(())
    }

    /// Writes the changed file of each instance beside the one nginx reads.
    fn prepare(&self, old: &str, new: &str) -> Result<Vec<Changed>> {
        let nodes = self.cluster.nodes.iter().enumerate();
        nodes
            .map(|(index, node)| {
                let live = file_with(&release_of(node)?, old)?;
                let original = fs::read_to_string(&live)?;
                let staged = node.folder().join("staged.conf");
                fs::write(&staged, original.replace(old, new))?;
                Ok(Changed {
                    index,
                    pid: nginx_master(node)?,
                    live,
                    original,
                    staged,
                })
            })
            .collect()
    }

    /// What a person would write: copy, test, reload, for each instance.
    fn shell(&self, files: &[Changed], at_once: usize) -> Result<()> {
        let nginx = self.cluster.programs().nginx.display();
        let mut list = String::new();
        for file in files {
            let node = &self.cluster.nodes[file.index];
            let conf = node.state_dir().join("nginx.conf");
            let prefix = node.folder().join("prefix");
            list.push_str(&format!(
                "cp {} {} && {nginx} -t -q -p {prefix} -c {conf} && {nginx} -s reload -p {prefix} -c {conf}\n",
                file.staged.display(),
                file.live.display(),
                prefix = prefix.display(),
                conf = conf.display(),
            ));
        }
        let path = self.cluster.sandbox().path().join("loop");
        fs::write(&path, list)?;
        let status = Command::new("xargs")
            .args([
                "-d",
                "\\n",
                "-n",
                "1",
                "-P",
                &at_once.to_string(),
                "sh",
                "-c",
            ])
            .stdin(fs::File::open(&path)?)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("could not start xargs")?;
        ensure!(status.success(), "the shell loop failed: {status}");
        Ok(())
    }

    fn floor(&self, files: &[Changed]) -> Result<()> {
        for file in files {
            fs::rename(&file.staged, &file.live)?;
            kill(file.pid, Signal::SIGHUP)?;
        }
        Ok(())
    }

    /// Brings back what the agents believe in.
    fn restore(&mut self) -> Result<()> {
        for (file, text) in self.originals.drain(..) {
            fs::write(file, text)?;
        }
        for node in &self.cluster.nodes {
            kill(nginx_master(node)?, Signal::SIGHUP)?;
        }
        self.quiet()
    }

    fn agents(&mut self, signal: Signal) -> Result<()> {
        for node in &mut self.cluster.nodes {
            let pid = i32::try_from(node.process()?.pid())?;
            kill(Pid::from_raw(pid), signal)?;
        }
        Ok(())
    }
}

struct Changed {
    /// Which node.
    index: usize,
    /// The master process of its nginx.
    pid: Pid,
    live: PathBuf,
    original: String,
    staged: PathBuf,
}

/// When each instance first gave the new answer, looking at those that have not yet in turn.
fn serving(nodes: &[Node], new: &str, started: Instant) -> Result<Vec<Duration>> {
    let mut waiting: Vec<_> = nodes.iter().map(|node| node.http(HOST, "/")).collect();
    let mut times = Vec::new();
    while !waiting.is_empty() {
        ensure!(
            started.elapsed() < wait::PATIENCE,
            "{} never served {new}",
            waiting.len()
        );
        waiting.retain(|target| {
            let served = target.get().is_ok_and(|response| response.text() == new);
            if served {
                times.push(started.elapsed());
            }
            !served
        });
        thread::sleep(PAUSE);
    }
    Ok(times)
}

fn nginx_master(node: &Node) -> Result<Pid> {
    let nginx = node.nginx();
    nginx
        .first()
        .map(|pid| Pid::from_raw(*pid))
        .context("no nginx runs")
}

/// The folder of the release that the entry file names.
fn release_of(node: &Node) -> Result<PathBuf> {
    let entry = fs::read_to_string(node.state_dir().join("nginx.conf"))?;
    let named = entry
        .split(|c: char| c.is_whitespace() || c == ';' || c == '"')
        .find(|word| word.contains("/releases/"))
        .context("the entry file names no release")?;
    Ok(Path::new(named)
        .parent()
        .context("a release is a folder")?
        .to_owned())
}

/// The file below `folder` that holds `text`.
fn file_with(folder: &Path, text: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            file_with(&path, text).ok()
        } else {
            fs::read_to_string(&path)
                .is_ok_and(|all| all.contains(text))
                .then_some(path)
        };
        if let Some(found) = found {
            return Ok(found);
        }
    }
    anyhow::bail!("no file in {} holds {text:?}", folder.display())
}

fn upstream(number: usize) -> String {
    format!(
        "kind: Upstream\nmetadata: {{ name: pool-{number} }}\nspec:\n  keepalive: 16\n  servers:\n  \
         - {{ address: \"10.0.0.1:80{number:02}\", weight: 2 }}\n  \
         - {{ address: \"10.0.0.2:80{number:02}\" }}\n  \
         - {{ address: \"10.0.0.3:80{number:02}\", backup: true }}\n---\n"
    )
}

fn virtual_host(node: &Node, number: usize, host: &str, answer: &str) -> String {
    let name = node.name();
    format!(
        "kind: VirtualHost\nmetadata: {{ name: {name}-{number} }}\nspec:\n  \
         selector: \"node={name}\"\n  server_names: [{host}]\n  \
         listen: [{{ port: {}, address: 127.0.0.1 }}]\n  locations:\n  \
         - {{ path: /, respond: {{ status: 200, body: \"{answer}\" }} }}\n  \
         - {{ path: /app/, proxy: {{ upstream: pool-{number}, timeouts: {{ connect: 2s }} }} }}\n---\n",
        node.http_port()
    )
}

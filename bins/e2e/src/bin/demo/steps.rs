//! The demonstration, step by step. A step that did not see what it claims is an error.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nxmesh_core::model::Version;
use nxmesh_e2e::Cluster;
use nxmesh_e2e::backend::Backend;
use nxmesh_e2e::certificate::SelfSigned;
use nxmesh_e2e::ctl::Outcome;
use nxmesh_e2e::load::{self, Load};
use nxmesh_e2e::master::USERNAME;
use nxmesh_e2e::node::Mode;
use nxmesh_e2e::port::Port;
use nxmesh_e2e::sandbox::Sandbox;
use nxmesh_e2e::wait;

use crate::Options;
use crate::progress::Progress;
use crate::site::{HOST, Site};

/// Changes made while clients ask.
const CHANGES_UNDER_LOAD: usize = 10;
/// At least as many requests are answered meanwhile.
const REQUESTS_UNDER_LOAD: u64 = 3000;

pub(crate) fn run(sandbox: &Sandbox, progress: &Progress, options: &Options) -> Result<()> {
    let count = usize::from(options.agents);
    let mut cluster = progress.step("start a master on SQLite and log in", || {
        Cluster::master_only(sandbox)
    })?;
    progress.step(
        &format!("enrol {count} agents, each with a real nginx of its own"),
        || {
            for number in 1..=count {
                cluster.add_node(&format!("n{number}"), Mode::Full)?;
            }
            cluster.until_ready()
        },
    )?;

    let backends = [Backend::start("the shop")?, Backend::start("the shop")?];
    let demo = Demo {
        certificate: SelfSigned::new(HOST)?,
        site: Site::new("v1", &backends.each_ref().map(Backend::address)),
        cluster,
        progress: progress.clone(),
    };
    if let Err(error) = demo.prove() {
        progress.say(&demo.cluster.logs(10));
        return Err(error);
    }
    progress.summary();
    if options.once {
        return Ok(());
    }
    demo.invite();
    loop {
        // Until a signal; the thread that waits for it ends the program.
        std::thread::park();
    }
}

struct Demo {
    cluster: Cluster,
    certificate: SelfSigned,
    site: Site,
    progress: Progress,
}

impl Demo {
    fn prove(&self) -> Result<()> {
        self.first_apply()?;
        self.change_under_load()?;
        self.refused_by_check()?;
        self.refused_by_reload()?;
        self.undo()
    }

    fn first_apply(&self) -> Result<()> {
        self.progress.step(
            "apply a shop: virtual hosts, an upstream, a certificate",
            || {
                let outcome = self.apply(&self.site)?.success()?;
                self.progress.say(last_line(&outcome));
                Ok(())
            },
        )?;
        self.progress
            .step("request it through each nginx, on HTTP and HTTPS", || {
                self.expect_version("v1")?;
                for node in &self.cluster.nodes {
                    for target in [node.http(HOST, "/"), node.https(HOST, "/")] {
                        let response = target.get()?;
                        ensure!(
                            response.status == 200 && response.text() == "the shop",
                            "{}: {} {}",
                            node.name(),
                            response.status,
                            response.text()
                        );
                        ensure!(
                            response.header("x-served-by") == Some(node.name()),
                            "{} did not answer itself",
                            node.name()
                        );
                        ensure!(
                            !target.tls || response.certificate == self.certificate.certificate_der,
                            "{} shows another certificate",
                            node.name()
                        );
                    }
                    let response = node.http(HOST, "/old").get()?;
                    ensure!(
                        response.status == 308,
                        "{}: /old {}",
                        node.name(),
                        response.status
                    );
                }
                Ok(())
            })
    }

    fn change_under_load(&self) -> Result<()> {
        let targets = self
            .cluster
            .nodes
            .iter()
            .flat_map(|node| {
                [
                    node.http(HOST, "/"),
                    node.http(HOST, "/version"),
                    node.https(HOST, "/version"),
                ]
            })
            .collect();
        let name =
            format!("change it {CHANGES_UNDER_LOAD} times while clients ask without a pause");
        let tally = self.progress.step(&name, || {
            let load = Load::start(load::Options {
                targets,
                new_connections: 4,
                keep_alive: 2,
                pause: Duration::from_millis(2),
                expected: Arc::new(|response| {
                    let text = response.text();
                    response.status == 200 && (text == "the shop" || text.starts_with('v'))
                }),
            });
            for change in 2..2 + CHANGES_UNDER_LOAD {
                let version = format!("v{change}");
                let site = self.version(&version);
                self.apply(&site)?.success()?;
                self.expect_version(&version)?;
            }
            wait::until("enough requests are answered", || {
                Ok((load.answered() >= REQUESTS_UNDER_LOAD).then_some(()))
            })?;
            Ok(load.finish())
        })?;
        self.progress.say(&format!(
            "new connection for each request: {}",
            tally.new_connections
        ));
        self.progress.say(&format!(
            "connections kept open:           {}",
            tally.keep_alive
        ));
        ensure!(
            tally.new_connections.failures() == 0 && tally.keep_alive.failures() == 0,
            "requests failed under load"
        );
        Ok(())
    }

    fn refused_by_check(&self) -> Result<()> {
        let before = self.applied()?;
        let mut broken = self.version("broken");
        broken.backends.push("no-such-host.invalid:8080".to_owned());
        let name = "push a shop with an upstream host nobody knows: nginx -t refuses it";
        self.progress.step(name, || {
            self.refused(&broken, "host not found in upstream", &before)
        })
    }

    fn refused_by_reload(&self) -> Result<()> {
        let before = self.applied()?;
        let taken = Port::take()?;
        let listener = TcpListener::bind(taken.on_loopback()).context("could not listen")?;
        let mut broken = self.version("broken");
        broken.extra_port = Some(taken.number());
        let name = "push a shop on a port of another process: nginx -t passes, the reload fails";
        self.progress.step(name, || {
            self.refused(&broken, "Address already in use", &before)
        })?;
        drop(listener);
        let good = self.version("good again");
        self.progress.step("push a good one again", || {
            self.apply(&good)?.success()?;
            self.expect_version("good again")
        })
    }

    fn undo(&self) -> Result<()> {
        self.progress
            .step("change it once more, and undo that revision", || {
                self.apply(&self.version("regretted"))?.success()?;
                self.expect_version("regretted")?;
                self.cluster
                    .ctl
                    .run(&["rollout", "undo", "-m", "regretted"])?
                    .success()?;
                self.expect_version("good again")
            })
    }

    fn version(&self, version: &str) -> Site {
        Site {
            version: version.to_owned(),
            ..self.site.clone()
        }
    }

    fn apply(&self, site: &Site) -> Result<Outcome> {
        let yaml = site.documents(&self.cluster.nodes, &self.certificate);
        self.cluster.apply(&yaml)
    }

    /// Every nginx answers with this version, and only with it, on new connections.
    fn expect_version(&self, version: &str) -> Result<()> {
        for node in &self.cluster.nodes {
            for target in [node.http(HOST, "/version"), node.https(HOST, "/version")] {
                for _ in 0..3 {
                    let text = target.get()?.text();
                    ensure!(
                        text == version,
                        "{}: {text:?} instead of {version:?}",
                        node.name()
                    );
                }
            }
        }
        Ok(())
    }

    /// Applies what must be refused by every agent with `words`, and looks that nothing else changed.
    fn refused(&self, site: &Site, words: &str, before: &[Option<Version>]) -> Result<()> {
        let serving = self.cluster.nodes[0].http(HOST, "/version").get()?.text();
        let outcome = self.apply(site)?;
        let text = outcome.text();
        ensure!(
            outcome.code == 9,
            "apply ended with {} instead of 9:\n{text}",
            outcome.code
        );
        ensure!(
            text.contains(words),
            "nginx's words {words:?} are missing in:\n{text}"
        );
        let said = text
            .lines()
            .find(|line| line.contains(words))
            .unwrap_or_default();
        self.progress.say(said.trim());
        self.progress.say(last_line(&outcome));
        self.expect_version(&serving)?;
        ensure!(
            self.applied()? == before,
            "an agent claims to have applied it"
        );
        self.progress
            .say(&format!("every nginx still serves {serving:?}"));
        Ok(())
    }

    /// What each agent was seen serving.
    fn applied(&self) -> Result<Vec<Option<Version>>> {
        let agents = self.cluster.agents()?;
        Ok(agents.iter().map(|agent| agent.applied).collect())
    }

    /// Says how to go on by hand.
    fn invite(&self) {
        let cluster = &self.cluster;
        let mut text = format!(
            "\nIt stays up until Ctrl-C.\n\n\
             API       {}\n\
             user      {USERNAME}\n\
             password  {}\n\nTry:\n",
            cluster.master.url(),
            cluster.master.password(),
        );
        for node in &cluster.nodes {
            for (scheme, port) in [("http", node.http_port()), ("https", node.https_port())] {
                text.push_str(&format!(
                    "  curl -k --resolve {HOST}:{port}:127.0.0.1 {scheme}://{HOST}:{port}/version\n"
                ));
            }
        }
        let ctl = format!(
            "{} --config {}",
            cluster.programs().ctl.display(),
            cluster.ctl.config().display()
        );
        let mut commands = vec!["get agents".to_owned(), "get revisions".to_owned()];
        let file = cluster.sandbox().path().join("shop.yaml");
        let yaml = self
            .version("mine")
            .documents(&cluster.nodes, &self.certificate);
        // Without the file there is only less to try.
        if std::fs::write(&file, yaml).is_ok() {
            for verb in ["diff", "apply"] {
                commands.push(format!("{verb} -f {}", file.display()));
            }
        }
        commands.push("rollout undo".to_owned());
        for command in commands {
            text.push_str(&format!("  {ctl} {command}\n"));
        }
        self.progress.print(&text);
    }
}

fn last_line(outcome: &Outcome) -> &str {
    outcome.stdout.lines().last().unwrap_or_default()
}

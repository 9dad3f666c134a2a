//! A way of reloading of one's own: any type that keeps the contract of
//! [`Reloader`] takes the place of the ones that ship with the agent.
//!
//! This one lets some time pass between two reloads, so that old workers with
//! long connections do not pile up, and tells what it does. The work itself it
//! leaves to the [`SignalReloader`].
//!
//! ```sh
//! cargo run --example own_reloader     # needs nginx
//! cargo test --example own_reloader    # the conformance suite of the contract
//! ```

use std::{fs::File, time::Duration};

use async_trait::async_trait;
use nxmesh_agent_lib::{reload::SignalReloader, testkit::RealNginx};
use nxmesh_core::contract::reloader::{Candidate, Generation, Output, ReloadError, Reloader};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

const DEADLINE: Duration = Duration::from_secs(20);

/// Reloads nginx at most once per `spacing`.
#[derive(Debug)]
struct Paced {
    inner: SignalReloader,
    spacing: Duration,
    /// Before this no reload begins.
    next: Mutex<Instant>,
}

impl Paced {
    fn new(inner: SignalReloader, spacing: Duration) -> Self {
        Self {
            inner,
            spacing,
            next: Mutex::new(Instant::now()),
        }
    }
}

#[async_trait]
impl Reloader for Paced {
    fn backend(&self) -> &'static str {
        "paced"
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        self.inner.check(candidate, deadline).await
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        let reloaded = self.inner.reload(deadline).await;
        *next = Instant::now() + self.spacing;
        match &reloaded {
            Ok(generation) => println!("reload: {} new workers", generation.workers.len()),
            Err(error) => println!("reload: {error}"),
        }
        reloaded
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        self.inner.start(deadline).await
    }

    async fn stop(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.inner.stop(deadline).await
    }

    async fn quit(&self, deadline: Duration) -> Result<bool, ReloadError> {
        self.inner.quit(deadline).await
    }

    async fn error_log(&self) -> Result<Option<File>, ReloadError> {
        self.inner.error_log().await
    }

    async fn output(&self, lines: u32, follow: bool) -> Result<Option<Output>, ReloadError> {
        self.inner.output(lines, follow).await
    }

    async fn running(&self) -> Result<Option<Generation>, ReloadError> {
        self.inner.running().await
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let nginx = RealNginx::start().await;
    let reloader = Paced::new(nginx.reloader(), Duration::from_millis(500));
    println!("nginx answers {:?}", nginx.get().await?);

    nginx.set_answer("changed");
    reloader.check(&nginx.candidate(), DEADLINE).await?;
    reloader.reload(DEADLINE).await?;
    println!("nginx answers {:?}", nginx.get().await?);

    nginx.set_conf(&nginx.conf_with("", "no_such_directive on;"));
    match reloader.check(&nginx.candidate(), DEADLINE).await {
        Err(ReloadError::Rejected { diagnostic }) => println!("check: {diagnostic}"),
        other => anyhow::bail!("a rejection was expected, there is {other:?}"),
    }
    println!("nginx answers {:?}", nginx.get().await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpListener};

    use nxmesh_agent_lib::testkit::free_port;
    use nxmesh_core::testkit::reloader::{Configuration, Rig};

    use super::*;

    struct OnePaced {
        nginx: RealNginx,
        /// A port that nginx cannot have.
        taken: TcpListener,
    }

    impl OnePaced {
        fn text(&self, configuration: Configuration<'_>) -> String {
            let http = match configuration {
                Configuration::Answers(answer) => self.nginx.server(answer),
                Configuration::Broken => "no_such_directive on;".to_owned(),
                Configuration::Unloadable => {
                    format!("server {{ listen {}; }}", self.taken.local_addr().unwrap())
                }
            };
            self.nginx.conf_with("", &http)
        }
    }

    #[async_trait]
    impl Rig for OnePaced {
        type Subject = Paced;

        async fn start() -> (Self, Paced) {
            let nginx = RealNginx::start().await;
            let subject = Paced::new(nginx.reloader(), Duration::from_millis(50));
            let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
            (Self { nginx, taken }, subject)
        }

        async fn candidate(&self, configuration: Configuration<'_>) -> Candidate {
            let text = self.text(configuration);
            let name = nxmesh_core::digest::Digest::of(text.as_bytes()).short();
            let check_prefix = self.nginx.dir().join("check");
            let check_conf = check_prefix.join(name);
            fs::write(&check_conf, text).unwrap();
            Candidate {
                check_conf,
                check_prefix,
            }
        }

        async fn switch(&self, configuration: Configuration<'_>) {
            self.nginx.set_conf(&self.text(configuration));
        }

        async fn answer(&self) -> String {
            self.nginx.get().await.expect("an answer")
        }

        async fn stop(&self) {
            self.nginx.kill();
        }
    }

    nxmesh_core::reloader_conformance!(OnePaced);
}

//! A real nginx for the conformance suite, however it is driven.

use std::{fs, net::TcpListener, path::PathBuf};

use async_trait::async_trait;
use nxmesh_agent_lib::testkit::{RealNginx, free_port};
use nxmesh_core::{
    contract::reloader::{Candidate, ReloadError, Reloader},
    digest::Digest,
    testkit::reloader::{Configuration, DEADLINE, Rig},
};

/// A way of driving an nginx, and what has to be around it for that.
#[async_trait]
pub(crate) trait Backend: Send + Sync + 'static {
    type Subject: Reloader;
    type Host: Send + Sync;

    /// Makes a reloader for an nginx that does not run yet.
    async fn begin(nginx: &RealNginx) -> (Self::Host, Self::Subject);

    /// Tells the host that its nginx is to end.
    async fn stop(_host: &Self::Host) {}
}

/// An nginx driven by `B`.
pub(crate) struct Driven<B: Backend> {
    pub(crate) nginx: RealNginx,
    pub(crate) host: B::Host,
    /// Another process's port, for what cannot be loaded.
    taken: TcpListener,
}

impl<B: Backend> Driven<B> {
    fn text(&self, configuration: Configuration<'_>) -> String {
        let port = self.taken.local_addr().unwrap().port();
        let http = match configuration {
            Configuration::Answers(answer) => self.nginx.server(answer),
            Configuration::Broken => "no_such_directive on;".to_owned(),
            Configuration::Unloadable => format!("server {{ listen 127.0.0.1:{port}; }}"),
        };
        self.nginx.conf_with("", &http)
    }
}

#[async_trait]
impl<B: Backend> Rig for Driven<B> {
    type Subject = B::Subject;

    async fn start() -> (Self, B::Subject) {
        let nginx = RealNginx::new();
        let (host, subject) = B::begin(&nginx).await;
        subject.start(DEADLINE).await.expect("nginx starts");
        let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
        let rig = Self { nginx, host, taken };
        (rig, subject)
    }

    async fn candidate(&self, configuration: Configuration<'_>) -> Candidate {
        let check_prefix = self.nginx.dir().join("check");
        let text = self.text(configuration);
        let check_conf = check_prefix.join(Digest::of(text.as_bytes()).short());
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
        B::stop(&self.host).await;
        self.nginx.kill();
    }
}

/// The unix socket by which orphans are found.
pub(crate) fn probe(nginx: &RealNginx) -> PathBuf {
    nginx.dir().join("probe")
}

fn with_probe(nginx: &RealNginx, main: &str, answer: &str) -> String {
    let probe = probe(nginx).display().to_string();
    let server = format!("server {{ listen unix:{probe}; return 200 x; }}");
    nginx.conf_with(main, &format!("{}\n{server}", nginx.server(answer)))
}

/// Has the master of an nginx that `reloader` looks after killed, and the
/// workers it leaves serve on until another would start: with `options` that
/// name the [`probe`].
pub(crate) async fn orphans_serve_until_another_starts(
    nginx: &RealNginx,
    reloader: &impl Reloader,
) {
    nginx.set_conf(&with_probe(nginx, "", "old"));
    let before = reloader.start(DEADLINE).await.expect("start");
    nginx.kill_master();
    for bad in [
        "no_such_directive on;",
        "error_log /nonexistent/error.log;",
        "pid /nonexistent/nginx.pid;",
    ] {
        let mut text = with_probe(nginx, bad, "new");
        if bad.starts_with("pid") {
            // Only one may be named.
            text = text.replacen(&format!("pid {};", nginx.pid_file().display()), "", 1);
        }
        nginx.set_conf(&text);
        let started = reloader.start(DEADLINE).await;
        let Err(ReloadError::WouldNotStart { reason }) = started else {
            panic!("{bad}: {started:?}");
        };
        assert!(reason.contains("[emerg]"), "{reason}");
        for _ in 0..5 {
            assert_eq!(nginx.get().await.expect("the orphans serve"), "old");
        }
    }
    nginx.set_conf(&with_probe(nginx, "", "new"));
    let after = reloader.start(DEADLINE).await.expect("start again");
    assert!(after.replaces(&before));
    assert_eq!(nginx.get().await.unwrap(), "new");
}

/// nginx whose workers die as they start: the whole service is down.
pub(crate) fn deadly(nginx: &RealNginx) -> String {
    nginx.conf_with("working_directory /nonexistent/nxmesh;", &nginx.server("x"))
}

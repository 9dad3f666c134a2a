//! A real nginx for the conformance suite, however it is driven.

use std::{fs, net::TcpListener};

use async_trait::async_trait;
use nxmesh_agent_lib::testkit::{RealNginx, free_port};
use nxmesh_core::{
    contract::reloader::{Candidate, Reloader},
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

/// nginx whose workers die as they start: the whole service is down.
pub(crate) fn deadly(nginx: &RealNginx) -> String {
    nginx.conf_with("working_directory /nonexistent/nxmesh;", &nginx.server("x"))
}

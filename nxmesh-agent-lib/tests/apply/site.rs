//! One agent's folders, its nginx and its pipeline.

use std::{path::Path, sync::Arc};

use nxmesh_agent_lib::{
    apply::{Applied, ApplyOptions, Failure, Mode, Outcome, Pipeline, Target},
    cache::AtRestKey,
    nginx::Layout,
    reload::SignalReloader,
    testkit::{RealNginx, free_port, nginx_binary, stop_nginx_in},
};
use nxmesh_core::{
    bundle::Slice,
    contract::{clock::SystemClock, reloader::Reloader},
    model::Version,
};
use nxmesh_render::HandlebarsRenderer;
use tempfile::TempDir;

pub struct Site {
    pub folder: TempDir,
    pub options: ApplyOptions,
    pub port: u16,
}

impl Site {
    /// An nginx that is wholly ours; it does not run yet.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("nx").tempdir().unwrap();
        let layout = Layout::new(folder.path().join("s"), folder.path().join("r"));
        let mut full = layout.full_options();
        full.worker_processes = Some(2);
        Self {
            options: ApplyOptions::new(layout, Mode::Full(full)),
            folder,
            port: free_port(),
        }
    }

    pub fn layout(&self) -> &Layout {
        &self.options.layout
    }

    pub fn reloader(&self) -> SignalReloader {
        SignalReloader::new(self.options.signal_options(nginx_binary().unwrap()))
    }

    pub async fn open_with(&self, reloader: Arc<dyn Reloader>) -> Pipeline {
        Pipeline::open(
            self.options.clone(),
            Arc::new(HandlebarsRenderer::new()),
            reloader,
            AtRestKey::new([7; 32]),
            Arc::new(SystemClock),
        )
        .await
        .unwrap()
    }

    pub async fn open(&self) -> Pipeline {
        self.open_with(Arc::new(self.reloader())).await
    }

    /// An opened and recovered pipeline.
    pub async fn up(&self) -> Pipeline {
        let mut pipeline = self.open().await;
        pipeline.recover().await.unwrap();
        pipeline
    }

    /// A document of a host on our port that answers `text`.
    pub fn host(&self, name: &str, text: &str) -> String {
        host_on(self.port, name, text)
    }

    /// What the host called `name` answers now.
    pub async fn get(&self, name: &str) -> String {
        let (status, body) = RealNginx::ask(self.port, &format!("{name}.example"), "/")
            .await
            .unwrap();
        format!("{status} {body}")
    }

    pub fn nginx_pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.layout().pid_file()).unwrap();
        text.trim().parse().unwrap()
    }

    pub fn releases(&self) -> Vec<String> {
        names_in(&self.layout().releases())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        stop_nginx_in(self.folder.path());
    }
}

pub fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub fn host_on(port: u16, name: &str, text: &str) -> String {
    format!(
        "---\nkind: VirtualHost\nmetadata: {{ name: {name} }}\nspec:\n  server_names: [{name}.example]\n  \
         listen: [{{ port: {port}, address: 127.0.0.1 }}]\n  locations:\n    \
         - {{ path: /, respond: {{ status: 200, body: \"{text}\", content_type: text/plain }} }}\n"
    )
}

pub fn slice(documents: &str) -> Slice {
    let parsed = nxmesh_core::document::parse("test", documents).unwrap();
    Slice::new(parsed.into_iter().map(|parsed| parsed.resource).collect())
}

pub fn target(revision: u64, documents: &str) -> Target {
    Target {
        version: version(revision),
        slice: slice(documents),
    }
}

pub const fn version(revision: u64) -> Version {
    Version { epoch: 1, revision }
}

pub async fn apply(pipeline: &mut Pipeline, revision: u64, documents: &str) -> Outcome {
    pipeline
        .apply(target(revision, documents), &mut |_| ())
        .await
}

pub async fn applied(pipeline: &mut Pipeline, revision: u64, documents: &str) -> Applied {
    match apply(pipeline, revision, documents).await {
        Outcome::Applied(applied) => applied,
        other => panic!("not applied: {other:?}"),
    }
}

pub async fn rejected(pipeline: &mut Pipeline, revision: u64, documents: &str) -> Failure {
    match apply(pipeline, revision, documents).await {
        Outcome::Rejected(failure) => failure,
        other => panic!("not rejected: {other:?}"),
    }
}

pub async fn rolled_back(pipeline: &mut Pipeline, revision: u64, documents: &str) -> Failure {
    match apply(pipeline, revision, documents).await {
        Outcome::RolledBack(failure) => failure,
        other => panic!("not rolled back: {other:?}"),
    }
}

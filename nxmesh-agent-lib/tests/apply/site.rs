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
    testkit::patience::PATIENCE,
};
use nxmesh_render::HandlebarsRenderer;
use tempfile::TempDir;

pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) options: ApplyOptions,
    pub(crate) port: u16,
}

impl Site {
    /// An nginx that is wholly ours; it does not run yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("nx").tempdir().unwrap();
        Self {
            options: Self::options(folder.path()),
            folder,
            port: free_port(),
        }
    }

    /// The site of another process. Dropping this one leaves its folder alone.
    pub(crate) fn at(folder: &Path, port: u16) -> Self {
        Self {
            options: Self::options(folder),
            folder: tempfile::tempdir().unwrap(),
            port,
        }
    }

    fn options(folder: &Path) -> ApplyOptions {
        let layout = Layout::new(folder.join("s"), folder.join("r"));
        let mut full = layout.full_options();
        full.worker_processes = Some(2);
        ApplyOptions::new(layout, Mode::Full(full))
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.options.layout
    }

    pub(crate) fn reloader(&self) -> SignalReloader {
        SignalReloader::new(self.options.signal_options(nginx_binary().unwrap()))
    }

    pub(crate) async fn open_with(&self, reloader: Arc<dyn Reloader>) -> Pipeline {
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

    pub(crate) async fn open(&self) -> Pipeline {
        self.open_with(Arc::new(self.reloader())).await
    }

    /// An opened and recovered pipeline.
    pub(crate) async fn up(&self) -> Pipeline {
        let mut pipeline = self.open().await;
        pipeline.recover().await.unwrap();
        pipeline
    }

    /// A document of a host on our port that answers `text`.
    pub(crate) fn host(&self, name: &str, text: &str) -> String {
        host_on(self.port, name, text)
    }

    /// What the host called `name` answers now.
    pub(crate) async fn get(&self, name: &str) -> String {
        let (status, body) = RealNginx::ask(self.port, &format!("{name}.example"), "/")
            .await
            .unwrap();
        format!("{status} {body}")
    }

    pub(crate) fn releases(&self) -> Vec<String> {
        names_in(&self.layout().releases())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        stop_nginx_in(self.folder.path());
    }
}

pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn host_on(port: u16, name: &str, text: &str) -> String {
    format!(
        "---\nkind: VirtualHost\nmetadata: {{ name: {name} }}\nspec:\n  server_names: [{name}.example]\n  \
         listen: [{{ port: {port}, address: 127.0.0.1 }}]\n  locations:\n    \
         - {{ path: /, respond: {{ status: 200, body: \"{text}\", content_type: text/plain }} }}\n"
    )
}

pub(crate) fn slice(documents: &str) -> Slice {
    let parsed = nxmesh_core::document::parse("test", documents).unwrap();
    Slice::new(parsed.into_iter().map(|parsed| parsed.resource).collect())
}

pub(crate) fn target(revision: u64, documents: &str) -> Target {
    Target {
        version: version(revision),
        slice: slice(documents),
    }
}

pub(crate) const fn version(revision: u64) -> Version {
    Version { epoch: 1, revision }
}

pub(crate) async fn apply(pipeline: &mut Pipeline, revision: u64, documents: &str) -> Outcome {
    pipeline
        .apply(target(revision, documents), &mut |_| ())
        .await
}

pub(crate) async fn applied(pipeline: &mut Pipeline, revision: u64, documents: &str) -> Applied {
    match apply(pipeline, revision, documents).await {
        Outcome::Applied(applied) => applied,
        other => panic!("not applied: {other:?}"),
    }
}

pub(crate) async fn rejected(pipeline: &mut Pipeline, revision: u64, documents: &str) -> Failure {
    match apply(pipeline, revision, documents).await {
        Outcome::Rejected(failure) => failure,
        other => panic!("not rejected: {other:?}"),
    }
}

pub(crate) async fn rolled_back(
    pipeline: &mut Pipeline,
    revision: u64,
    documents: &str,
) -> Failure {
    match apply(pipeline, revision, documents).await {
        Outcome::RolledBack(failure) => failure,
        other => panic!("not rolled back: {other:?}"),
    }
}

/// Waits until `holds`.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: it does not come");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

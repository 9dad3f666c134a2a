//! Whatever instruction the agent dies at, nginx has the old or the new
//! release, whole, and the next agent says which.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nxmesh_agent_lib::{apply::Pipeline, reload::SignalReloader, testkit::stop_nginx_in};
use nxmesh_core::contract::reloader::{Candidate, Generation, ReloadError, Reloader};
use tokio::sync::Notify;

use crate::site::{Site, applied, target, version};

/// Where the agent dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum At {
    Nowhere,
    BeforeCheck,
    BeforeReload,
    AfterReload,
}

/// A reloader that never comes back from one place.
#[derive(Debug)]
struct Gate {
    inner: SignalReloader,
    at: AtomicU8,
    reached: Notify,
}

impl Gate {
    async fn pass(&self, here: At) {
        if self.at.load(Ordering::SeqCst) == here as u8 {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Reloader for Gate {
    fn backend(&self) -> &'static str {
        "gate"
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        self.pass(At::BeforeCheck).await;
        self.inner.check(candidate, deadline).await
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        self.pass(At::BeforeReload).await;
        let generation = self.inner.reload(deadline).await?;
        self.pass(At::AfterReload).await;
        Ok(generation)
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        self.inner.start(deadline).await
    }

    async fn stop(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.inner.stop(deadline).await
    }

    async fn running(&self) -> Result<Option<Generation>, ReloadError> {
        self.inner.running().await
    }
}

/// Version 1 is applied, version 2 dies at `at`.
async fn dies(site: &Site, at: At) -> Pipeline {
    dies_between(
        site,
        at,
        &site.host("shop", "one"),
        &site.host("shop", "two"),
    )
    .await
}

/// The same with documents of one's own.
pub(crate) async fn dies_between(site: &Site, at: At, first: &str, second: &str) -> Pipeline {
    let gate = Arc::new(Gate {
        inner: site.reloader(),
        at: AtomicU8::new(At::Nowhere as u8),
        reached: Notify::new(),
    });
    let mut pipeline = site.open_with(Arc::clone(&gate) as Arc<dyn Reloader>).await;
    pipeline.recover().await.unwrap();
    applied(&mut pipeline, 1, first).await;
    gate.at.store(at as u8, Ordering::SeqCst);
    {
        let second = target(2, second);
        let mut ignore = |_| ();
        let dying = pipeline.apply(second, &mut ignore);
        tokio::select! {
            outcome = dying => panic!("it got through: {outcome:?}"),
            () = gate.reached.notified() => {}
        }
    }
    gate.at.store(At::Nowhere as u8, Ordering::SeqCst);
    pipeline
}

async fn converges(site: &Site, mut pipeline: Pipeline, expected: &str) {
    let recovered = pipeline.recover().await.unwrap();
    assert_eq!(recovered.undone, None);
    assert_eq!(site.get("shop").await, format!("200 {expected}"));
    let revision = if expected == "two" { 2 } else { 1 };
    assert_eq!(pipeline.applied().unwrap().version, version(revision));
    assert_eq!(recovered.applied.as_ref(), pipeline.applied());
    assert_eq!(pipeline.accepted(), Some(version(2)), "never backwards");
    assert!(pipeline.observe().await.serves_applied);
    assert!(!site.layout().journal().exists());
    applied(&mut pipeline, 2, &site.host("shop", "two")).await;
    assert_eq!(site.get("shop").await, "200 two");
    applied(&mut pipeline, 3, &site.host("shop", "three")).await;
    assert_eq!(site.get("shop").await, "200 three");
}

#[tokio::test]
async fn death_before_the_switch_leaves_the_old_release() {
    let site = Site::new();
    drop(dies(&site, At::BeforeCheck).await);
    converges(&site, site.open().await, "one").await;
}

#[tokio::test]
async fn death_between_switch_and_signal_ends_in_the_new_release() {
    let site = Site::new();
    drop(dies(&site, At::BeforeReload).await);
    assert_eq!(site.get("shop").await, "200 one");
    converges(&site, site.open().await, "two").await;
}

#[tokio::test]
async fn death_between_reload_and_proof_ends_in_the_new_release() {
    let site = Site::new();
    drop(dies(&site, At::AfterReload).await);
    assert_eq!(site.get("shop").await, "200 two");
    converges(&site, site.open().await, "two").await;
}

#[tokio::test]
async fn death_of_both_after_the_switch_ends_in_the_new_release() {
    let site = Site::new();
    drop(dies(&site, At::BeforeReload).await);
    stop_nginx_in(site.folder.path());
    converges(&site, site.open().await, "two").await;
}

#[tokio::test]
async fn an_apply_that_is_dropped_is_settled_by_the_next() {
    let site = Site::new();
    for at in [At::BeforeCheck, At::BeforeReload, At::AfterReload] {
        let site = Site::new();
        let mut pipeline = dies(&site, at).await;
        applied(&mut pipeline, 3, &site.host("shop", "three")).await;
        assert_eq!(site.get("shop").await, "200 three");
        assert!(pipeline.observe().await.serves_applied);
    }
    drop(site);
}

#[tokio::test]
async fn a_release_damaged_by_the_crash_is_undone() {
    let site = Site::new();
    drop(dies(&site, At::BeforeReload).await);
    let second = site
        .releases()
        .into_iter()
        .find(|name| name.starts_with("1.2-"))
        .unwrap();
    // As after a power cut on a disk that lies about what it has written.
    std::fs::write(site.layout().release(&second).join("http.conf"), "").unwrap();
    let mut pipeline = site.open().await;
    let recovered = pipeline.recover().await.unwrap();
    let undone = recovered.undone.expect("it says what it did");
    assert!(undone.message.contains("damaged"), "{undone:?}");
    assert_eq!(site.get("shop").await, "200 one");
    assert_eq!(pipeline.applied().unwrap().version, version(1));
    applied(&mut pipeline, 2, &site.host("shop", "two")).await;
    assert_eq!(site.get("shop").await, "200 two");
}

//! How reloads and starts of nginx went, whoever wanted them.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nxmesh_core::contract::reloader::{Candidate, Generation, Output, ReloadError, Reloader};

use super::{Meters, sample::Samples};

/// Counts of reloads and starts.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    confirmed: AtomicU64,
    failed: AtomicU64,
    starts: AtomicU64,
    checks: AtomicU64,
}

impl Reloads {
    pub(super) fn by_result(&self, samples: &mut Samples) {
        for (result, count) in [("confirmed", &self.confirmed), ("failed", &self.failed)] {
            let count = count.load(Ordering::Relaxed);
            samples.with([("result", result.into())], count);
        }
    }

    pub(super) fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    pub(super) fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }
}

/// Counts what another reloader does.
#[derive(Debug)]
pub(crate) struct MeteredReloader {
    inner: Arc<dyn Reloader>,
    meters: Arc<Meters>,
}

impl MeteredReloader {
    pub(crate) fn new(inner: Arc<dyn Reloader>, meters: Arc<Meters>) -> Self {
        Self { inner, meters }
    }
}

#[async_trait]
impl Reloader for MeteredReloader {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        self.meters.reloads.checks.fetch_add(1, Ordering::Relaxed);
        self.inner.check(candidate, deadline).await
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let reloaded = self.inner.reload(deadline).await;
        let reloads = &self.meters.reloads;
        match &reloaded {
            Ok(_) => reloads.confirmed.fetch_add(1, Ordering::Relaxed),
            // Then nothing was reloaded; whoever asked starts it.
            Err(ReloadError::NotRunning) => 0,
            Err(_) => reloads.failed.fetch_add(1, Ordering::Relaxed),
        };
        reloaded
    }

    async fn would_start(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.inner.would_start(deadline).await
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let started = self.inner.start(deadline).await;
        if started.is_ok() {
            self.meters.reloads.starts.fetch_add(1, Ordering::Relaxed);
        }
        started
    }

    async fn stop(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.inner.stop(deadline).await
    }

    async fn quit(&self, deadline: Duration) -> Result<bool, ReloadError> {
        self.inner.quit(deadline).await
    }

    async fn resume(&self) -> Result<(), ReloadError> {
        self.inner.resume().await
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

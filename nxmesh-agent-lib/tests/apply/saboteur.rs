//! A reloader beside which somebody meddles.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use nxmesh_agent_lib::reload::SignalReloader;
use nxmesh_core::contract::reloader::{Candidate, Generation, ReloadError, Reloader};

use crate::site::Site;

/// Passes everything on, and breaks one thing on the way.
#[derive(Debug)]
pub(crate) struct Saboteur {
    inner: SignalReloader,
    /// Done with the state folder before the next reload, and after it.
    before: Option<fn(&Path)>,
    after: Option<fn(&Path)>,
    folder: PathBuf,
    armed: AtomicBool,
}

impl Saboteur {
    pub(crate) fn new(site: &Site, before: Option<fn(&Path)>, after: Option<fn(&Path)>) -> Self {
        Self {
            inner: site.reloader(),
            before,
            after,
            folder: site.layout().state_dir().to_owned(),
            armed: true.into(),
        }
    }
}

#[async_trait]
impl Reloader for Saboteur {
    fn backend(&self) -> &'static str {
        "saboteur"
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        self.inner.check(candidate, deadline).await
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let armed = self.armed.swap(false, Ordering::SeqCst);
        if let Some(before) = self.before.filter(|_| armed) {
            before(&self.folder);
        }
        let reloaded = self.inner.reload(deadline).await;
        if let Some(after) = self.after.filter(|_| armed) {
            after(&self.folder);
        }
        reloaded
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

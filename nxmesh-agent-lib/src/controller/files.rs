//! Looks after the files that nginx reads.

use std::{mem, time::Duration};

use nxmesh_core::model::Drift;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::{observed::Nginx, run::Controller};
use crate::{
    apply::Compared,
    watchdog::{DriftPolicy, FileWatch, Loaded},
};

/// After a change the next ones are waited for so long: they come in numbers.
const SETTLE: Duration = Duration::from_millis(250);
/// Between two comparisons, however often files change.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of the files.
#[derive(Debug)]
pub(super) struct Files {
    /// `None` where the kernel has no watch to give; then the digests tell.
    watch: Option<FileWatch>,
    pub(super) loaded: Loaded,
    checked_at: Option<Instant>,
    /// Repairs in a row without a time of peace between them.
    repairs: u32,
    repaired_at: Option<Instant>,
    /// Before this nothing is repaired.
    repair_at: Instant,
}

impl Files {
    pub(super) fn new() -> Self {
        Self {
            watch: None,
            loaded: Loaded::default(),
            checked_at: None,
            repairs: 0,
            repaired_at: None,
            repair_at: Instant::now(),
        }
    }

    /// Waits until a file changes.
    pub(super) async fn changed(&mut self) {
        let changed = match &mut self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        };
        if let Err(error) = changed {
            warn!(%error, "files are not watched any more, until their digests are computed anew");
            self.watch = None;
        }
        self.loaded.touched();
    }

    /// When files that changed `now` are compared.
    pub(super) fn due(&self, now: Instant) -> Instant {
        let settled = now + SETTLE;
        self.checked_at
            .map_or(settled, |last| settled.max(last + PAUSE))
    }
}

impl Controller {
    /// Watches the files of the release that is served now.
    pub(super) async fn follow(&mut self) {
        let watch = match self.pipeline.watched().await {
            Ok((folders, entry)) => FileWatch::new(&folders, &entry),
            Err(error) => Err(error),
        };
        self.files.watch = watch
            .inspect_err(|error| debug!(%error, "files are not watched"))
            .ok();
    }

    /// Notes that the agent had nginx read its files.
    pub(super) async fn note_reload(&mut self) {
        self.files.loaded.read_by_us();
        self.check().await;
    }

    /// Compares the files with what was written, and repairs them if that is
    /// wanted.
    pub(super) async fn check(&mut self) {
        let now = Instant::now();
        self.files.checked_at = Some(now);
        self.observed.check_at = now + self.options.digest_interval;
        // First, so that nothing is missed that changes meanwhile.
        self.follow().await;
        let Some(compared) = self.compare().await else {
            return;
        };
        let (compared, problem) = match self.is_to_repair(&compared, now) {
            true => self.repair(compared, now).await,
            false => (compared, None),
        };
        self.publish_drift(compared, problem);
    }

    async fn compare(&mut self) -> Option<Compared> {
        match self.pipeline.compare().await {
            Ok(compared) => {
                self.files.loaded.judge(!compared.files.is_empty());
                Some(compared)
            }
            Err(error) => {
                error!(%error, "could not read the files of the release");
                self.exchange
                    .status
                    .send_modify(|status| status.running = None);
                None
            }
        }
    }

    fn is_to_repair(&mut self, compared: &Compared, now: Instant) -> bool {
        let files = &mut self.files;
        let astray = !compared.files.is_empty() || files.loaded.is_astray();
        if !astray {
            let peace = files
                .repaired_at
                .is_none_or(|last| last + self.options.stable_after < now);
            if peace {
                files.repairs = 0;
            }
        }
        let wanted = astray && self.options.watchdog.drift == DriftPolicy::Repair;
        if wanted && files.repair_at > now {
            self.observed.check_at = self.observed.check_at.min(files.repair_at);
            return false;
        }
        wanted
    }

    /// What is left after it.
    async fn repair(&mut self, before: Compared, now: Instant) -> (Compared, Option<String>) {
        let files = &mut self.files;
        files.repairs = files.repairs.saturating_add(1);
        files.repaired_at = Some(now);
        files.repair_at = now + self.options.recover_backoff.ceiling(files.repairs);
        // One that is gone or hangs is brought back with these files anyway.
        let reload = files.loaded.is_astray() && self.observed.nginx == Nginx::Fine;
        warn!(files = ?before.files, more = before.more, reload, "files were changed, they are repaired");
        let problem = match self.pipeline.repair(reload).await {
            Ok(reloaded) => {
                if reloaded {
                    self.files.loaded.read_by_us();
                    self.observed.observe_at = Instant::now();
                }
                info!(reloaded, "files are as they were written");
                None
            }
            Err(error) => {
                let problem = super::care::chain(&error);
                error!(problem, "files could not be repaired");
                Some(problem)
            }
        };
        // It may have made folders, and what it wrote is no news.
        self.follow().await;
        let after = self.compare().await.unwrap_or(before);
        // Of what was changed while it was repaired no other word comes.
        if !after.files.is_empty() || problem.is_some() {
            self.observed.check_at = self.observed.check_at.min(self.files.repair_at);
        }
        (after, problem)
    }

    fn publish_drift(&mut self, compared: Compared, problem: Option<String>) {
        let loaded = self.files.loaded.is_astray();
        let drifted = !compared.files.is_empty() || loaded || problem.is_some();
        let unix_millis = self.clock.unix_millis();
        self.exchange.status.send_if_modified(|status| {
            let since = status.drift.as_ref().map_or(unix_millis, |it| it.since);
            let drift = drifted.then_some(Drift {
                since,
                files: compared.files,
                more: compared.more,
                loaded,
                diff: compared.diff,
                problem,
            });
            match &drift {
                Some(drift) if status.drift.as_ref() != Some(drift) => {
                    warn!(files = ?drift.files, more = drift.more, loaded, "files are not as they were written");
                }
                None if status.drift.is_some() => info!("files are as they were written again"),
                _ => {}
            }
            let before = mem::replace(&mut status.drift, drift);
            let changed = status.drift != before || status.running != compared.running;
            status.running = compared.running;
            changed
        });
    }
}

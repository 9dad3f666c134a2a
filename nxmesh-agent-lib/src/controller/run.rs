//! The loop: decides, does it, looks again.

use std::{path::PathBuf, sync::Arc, time::Duration};

use nxmesh_core::{
    contract::{clock::Clock, reloader::Reloader},
    model,
    wire::ConfigPhase,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    care::Care,
    decide::{Action, decide},
    desired::Desired,
    drain::DrainMark,
    files::Files,
    marks::ActiveChecks,
    observed::{Nginx, Observed},
    pace::{Pace, ReloadPace},
};
use crate::{
    apply::{Applied, Outcome, Pipeline, Progress, Target, marks::Failing},
    exchange::{Exchange, Offer, Order},
    transport::{Backoff, message},
    watchdog::{Loaded, WatchdogOptions},
};

/// How the agent looks after its nginx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlOptions {
    /// How often nginx is looked at. Default: 5 s.
    pub observe_interval: Duration,
    /// How often the files that nginx reads are compared with what was written,
    /// also if nobody was seen to change them. Default: 60 s.
    pub digest_interval: Duration,
    /// Pauses between attempts to bring nginx up. Default: 1 s to 60 s.
    pub recover_backoff: Backoff,
    /// An nginx that ran so long after a recovery is well again. Default: 60 s.
    pub stable_after: Duration,
    /// How long a reload on the master's command may take. Default: 30 s.
    pub reload_deadline: Duration,
    /// What is done about servers of upstreams that fail their checks. Default: they are
    /// shown.
    pub active_checks: ActiveChecks,
    /// nginx is led around such servers, and back, so often at most. Default: 10 s.
    pub mark_spacing: Duration,
    /// When nginx is restarted.
    pub watchdog: WatchdogOptions,
    /// How often nginx is reloaded at most.
    pub pace: ReloadPace,
}

impl Default for ControlOptions {
    fn default() -> Self {
        Self {
            observe_interval: Duration::from_secs(5),
            digest_interval: Duration::from_secs(60),
            recover_backoff: Backoff::default(),
            stable_after: Duration::from_secs(60),
            reload_deadline: Duration::from_secs(30),
            active_checks: ActiveChecks::default(),
            mark_spacing: Duration::from_secs(10),
            watchdog: WatchdogOptions::default(),
            pace: ReloadPace::default(),
        }
    }
}

/// Looks after one nginx. One thing at a time; nothing is cut short.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(super) pipeline: Pipeline,
    pub(super) reloader: Arc<dyn Reloader>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: ControlOptions,
    pub(super) exchange: Arc<Exchange>,
    offers: watch::Receiver<Option<Offer>>,
    pub(super) failing: watch::Receiver<Failing>,
    commands: mpsc::Receiver<Order>,
    pub(super) observed: Observed,
    pub(super) pace: Pace,
    /// A command taken from the queue and not yet done.
    pub(super) order: Option<Order>,
    pub(super) drained: DrainMark,
    pub(super) care: Care,
    pub(super) files: Files,
}

impl Controller {
    pub(crate) fn new(
        pipeline: Pipeline,
        reloader: Arc<dyn Reloader>,
        clock: Arc<dyn Clock>,
        options: ControlOptions,
        exchange: Arc<Exchange>,
        commands: mpsc::Receiver<Order>,
        drain_mark: PathBuf,
    ) -> Self {
        let now = Instant::now();
        let drained = DrainMark::load(drain_mark);
        exchange
            .status
            .send_modify(|status| status.drained = drained.is_set());
        let controller = Self {
            reloader,
            clock,
            options,
            offers: exchange.offers.subscribe(),
            failing: exchange.failing.subscribe(),
            exchange,
            commands,
            observed: Observed {
                handled: 0,
                nginx: Nginx::Unknown,
                recover_at: now,
                observe_at: now,
                reload_at: None,
                check_at: now + options.digest_interval,
                mark_at: now,
            },
            pace: Pace::new(options.pace),
            order: None,
            drained,
            care: Care::new(options.watchdog.breaker),
            files: Files::new(),
            pipeline,
        };
        controller.seed_failing();
        controller.publish_versions();
        controller
    }

    /// Works until `stop`. What is under way then is finished first.
    pub(crate) async fn run(mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let marks = self.marks_differ() && !self.drained.is_set();
            let desired = Desired {
                marks,
                offer: self
                    .offers
                    .borrow_and_update()
                    .clone()
                    .filter(|_| !self.drained.is_set()),
                command: self.order.is_some(),
            };
            match decide(&desired, &self.observed, Instant::now()) {
                Action::Recover => self.recover().await,
                Action::Restart => self.restart_hung().await,
                Action::Apply(offer) => self.apply(&offer).await,
                Action::Obey => self.obey().await,
                Action::Mark => self.mark().await,
                Action::Observe => self.observe().await,
                Action::Check => self.check().await,
                Action::Wait(until) => self.wait(until, stop).await,
            }
        }
    }

    async fn wait(&mut self, until: Instant, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            // Both ends of the exchange live as long as it, so neither ends here.
            Ok(()) = self.offers.changed() => {}
            Ok(()) = self.failing.changed() => {}
            Some(order) = self.commands.recv() => self.order = Some(order),
            () = self.files.changed() => {
                let due = self.files.due(Instant::now());
                self.observed.check_at = self.observed.check_at.min(due);
            }
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// Takes in that nginx was led to a release and seen serving it.
    pub(super) async fn note_led(&mut self, applied: &Applied) {
        for disruption in &applied.disruptions {
            warn!(%disruption, "connections may have been dropped");
        }
        self.observed.nginx = Nginx::Fine;
        self.exchange.status.send_modify(|status| {
            status.running = Some(applied.release);
            status.ready = true;
            status.nginx.seen_serving();
            if applied.reloaded {
                let dropped = applied.disruptions.iter();
                status.disruptions = dropped.map(ToString::to_string).collect();
            }
        });
        if applied.reloaded {
            self.pace.reloaded(Instant::now());
            self.observed.reload_at = self.pace.next();
            // A new folder, written and proven a moment ago.
            self.files.loaded = Loaded::default();
            self.follow().await;
            if self.exchange.status.borrow().drift.is_some() {
                self.observed.check_at = Instant::now();
            }
        }
    }

    async fn apply(&mut self, offer: &Offer) {
        let target = Target::clone(&offer.target);
        let (version, digest) = (target.version, target.slice.digest());
        let exchange = Arc::clone(&self.exchange);
        let slice = Arc::new(target.slice.clone());
        info!(%version, digest = %digest.short(), "applying");
        let mut progress = |progress| {
            let phase = match progress {
                Progress::Received => {
                    exchange.accepted.send_replace(Some(Arc::clone(&slice)));
                    exchange
                        .status
                        .send_modify(|status| status.accepted = Some(version));
                    ConfigPhase::Received
                }
                Progress::Staged => ConfigPhase::Staged,
            };
            let status = exchange.status.borrow().clone();
            let told = message::config_status(version, message::digest(digest), phase, &status);
            exchange.outbox.push_status(told);
        };
        let begun = Instant::now();
        let outcome = self.pipeline.apply(target, &mut progress).await;
        self.exchange.meters.applies.add(&outcome, begun.elapsed());
        self.observed.handled = offer.serial;
        self.observed.observe_at = Instant::now();
        self.publish_versions();
        let told = match outcome {
            Outcome::Applied(applied) => {
                info!(%version, reloaded = applied.reloaded, "applied");
                self.note_led(&applied).await;
                self.exchange.status.send_modify(|status| {
                    if status
                        .failure
                        .as_ref()
                        .is_some_and(|failure| failure.version <= version)
                    {
                        status.failure = None;
                    }
                });
                let mut told = self.told(version, digest, ConfigPhase::Applied);
                told.durations = message::durations(&applied.durations);
                told
            }
            Outcome::Rejected(failure) => {
                warn!(%version, code = failure.code, reason = failure.message, "rejected");
                self.publish_failure(version, model::ConfigPhase::Rejected, &failure, Vec::new());
                let mut told = self.told(version, digest, ConfigPhase::Rejected);
                told.failure = Some(message::failure(&failure));
                told
            }
            Outcome::RolledBack(failure) => {
                error!(%version, code = failure.code, reason = failure.message, "rolled back");
                self.note_reload().await;
                self.publish_failure(
                    version,
                    model::ConfigPhase::RolledBack,
                    &failure,
                    Vec::new(),
                );
                let mut told = self.told(version, digest, ConfigPhase::RolledBack);
                told.failure = Some(message::failure(&failure));
                told
            }
            Outcome::HeldBack(partly) => {
                let failure = partly.failure();
                error!(%version, reason = failure.message, "served in part");
                self.observed.nginx = Nginx::Fine;
                let release = self.pipeline.applied().map(|it| it.release_digest);
                self.exchange.status.send_modify(|status| {
                    status.running = release;
                    status.ready = true;
                    status.nginx.seen_serving();
                });
                self.note_reload().await;
                let mut told = self.told(version, digest, ConfigPhase::HeldBack);
                told.failure = Some(message::failure(&failure));
                told.held_back = message::held_back(&partly);
                told
            }
        };
        self.exchange.outbox.push_status(told);
    }
}

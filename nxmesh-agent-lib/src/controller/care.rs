//! Brings nginx back: as often as it helps, and no oftener.

use std::time::Duration;

use nxmesh_core::{model, wire::ConfigPhase};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{observed::Nginx, run::Controller};
use crate::{
    apply::{PipelineError, Recovered, Target, code},
    status::BreakerStatus,
    transport::message,
    watchdog::{Breaker, BreakerOptions},
};

/// How nginx was brought back so far.
#[derive(Debug)]
pub(super) struct Care {
    /// Recoveries in a row without a stable nginx between them.
    recoveries: u32,
    recovered_at: Instant,
    /// Looks in a row at which nginx did not answer.
    silent_looks: u32,
    /// Since when it does not answer, in Unix milliseconds.
    pub(super) silent_since: Option<u64>,
    /// How often it was brought back.
    pub(super) restarts: u64,
    breaker: Breaker,
    /// The breaker, as it is shown.
    pub(super) shown: Option<BreakerStatus>,
}

impl Care {
    pub(super) fn new(breaker: BreakerOptions) -> Self {
        Self {
            recoveries: 0,
            recovered_at: Instant::now(),
            silent_looks: 0,
            silent_since: None,
            restarts: 0,
            breaker: Breaker::new(breaker),
            shown: None,
        }
    }

    /// Takes a look in; at how many in a row nginx was silent.
    pub(super) fn looked(&mut self, silent: bool, unix_millis: u64) -> u32 {
        if silent {
            self.silent_looks = self.silent_looks.saturating_add(1);
            self.silent_since.get_or_insert(unix_millis);
        } else {
            self.silent_looks = 0;
            self.silent_since = None;
        }
        self.silent_looks
    }

    /// Notes that nginx does as it should.
    pub(super) fn well(&mut self, now: Instant, stable_after: Duration) {
        if self.recovered_at + stable_after < now {
            self.recoveries = 0;
        }
        self.breaker.well(now);
        if self.breaker.next_try().is_none() && self.shown.take().is_some() {
            info!("nginx stays up, it is restarted without delay again");
        }
    }

    /// Notes that nginx was `brought` back, or that it was tried.
    fn restarted(&mut self, brought: bool, now: Instant, unix_millis: u64) {
        self.restarts = self.restarts.saturating_add(brought.into());
        self.breaker.restarted(now);
        let Some(next) = self.breaker.next_try() else {
            return;
        };
        let wait = next.saturating_duration_since(now).as_millis();
        let since = self.shown.map_or(unix_millis, |shown| shown.since);
        if self.shown.is_none() {
            error!("nginx does not stay up: it is restarted from time to time only");
        }
        self.shown = Some(BreakerStatus {
            since,
            next_try: unix_millis.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX)),
        });
    }
}

impl Controller {
    /// Starts an nginx that is gone, or reloads one that serves something else.
    pub(super) async fn recover(&mut self) {
        let again = self.observed.nginx != Nginx::Unknown;
        let recovered = self.pipeline.recover().await;
        let counts = again && disturbs(&recovered);
        self.note(recovered, counts).await;
    }

    /// Brings an nginx back that does not react.
    pub(super) async fn restart_hung(&mut self) {
        error!(
            since = self.care.silent_since,
            "nginx hangs, it is brought back"
        );
        let deadline = self.options.watchdog.stop_deadline;
        let restarted = self.pipeline.revive(deadline).await;
        let counts = disturbs(&restarted);
        self.note(restarted, counts).await;
    }

    /// Starts nginx anew because somebody said so, ending what runs; that says
    /// nothing on how it does. The process it then is, or why it is not up.
    pub(super) async fn restart(&mut self) -> Result<u32, String> {
        let deadline = self.options.watchdog.stop_deadline;
        let restarted = self.pipeline.restart(deadline).await;
        let told = match &restarted {
            Ok(recovered) => Ok(recovered.generation.master_pid),
            Err(error) => Err(error.to_string()),
        };
        self.note(restarted, false).await;
        told
    }

    async fn note(&mut self, recovered: Result<Recovered, PipelineError>, counts: bool) {
        let now = Instant::now();
        let care = &mut self.care;
        care.recoveries += 1;
        care.recovered_at = now;
        if counts {
            care.restarted(recovered.is_ok(), now, self.clock.unix_millis());
        }
        let pause = now + self.options.recover_backoff.ceiling(care.recoveries);
        let held_until = care.breaker.next_try();
        self.observed.recover_at = held_until.map_or(pause, |next| next.max(pause));
        match recovered {
            Ok(recovered) => {
                self.care.looked(false, 0);
                self.note_recovered(&recovered).await;
            }
            Err(error) => self.note_unrecovered(&error),
        }
    }

    async fn note_recovered(&mut self, recovered: &Recovered) {
        let pid = recovered.generation.master_pid;
        info!(started = recovered.started, pid, "nginx is up");
        self.observed.nginx = Nginx::Fine;
        self.observed.observe_at = Instant::now() + self.options.observe_interval;
        self.publish_versions();
        self.note_reload().await;
        let nginx = self.nginx_status(Some(&recovered.generation));
        self.exchange.status.send_modify(|status| {
            status.ready |= recovered.applied.is_some();
            status.nginx = nginx;
        });
        let accepted = self.pipeline.accepted();
        let slice = self.exchange.accepted.borrow().clone();
        let (Some(version), Some(slice)) = (accepted, slice) else {
            return;
        };
        if let Some(failure) = &recovered.undone {
            warn!(%version, reason = failure.message, "an unfinished switch was undone");
            self.publish_failure(version, model::ConfigPhase::RolledBack, failure, Vec::new());
            let mut told = self.told(version, slice.digest(), ConfigPhase::RolledBack);
            told.failure = Some(message::failure(failure));
            self.exchange.outbox.push_status(told);
        }
        let served = recovered.applied.as_ref().map(|applied| applied.version);
        let given_up = recovered
            .undone
            .as_ref()
            .is_some_and(|undone| !undone.retryable);
        if self.observed.handled == 0 && served < Some(version) && !given_up {
            // Taken on before the agent stopped, and not finished.
            let slice = (*slice).clone();
            self.exchange.offer_again(Target { version, slice });
        }
    }

    fn note_unrecovered(&mut self, error: &PipelineError) {
        let problem = chain(error);
        error!(problem, attempts = self.care.recoveries, "nginx is not up");
        self.observed.nginx = Nginx::Astray;
        // What is to be tried next depends on what there is now.
        self.observed.observe_at = Instant::now();
        let (restarts, breaker) = (self.care.restarts, self.care.shown);
        self.exchange.status.send_modify(|status| {
            status.nginx.problem = Some(problem);
            status.nginx.restarts = restarts;
            status.nginx.breaker = breaker;
        });
    }
}

/// Whether what was done can have disturbed anybody. A refusal to start does
/// not: the pauses are enough for it.
fn disturbs(done: &Result<Recovered, PipelineError>) -> bool {
    match done {
        Ok(_) => true,
        Err(PipelineError::NotServing { failure, .. }) => {
            ![code::RELOAD, code::NOT_INCLUDED, code::WOULD_NOT_START].contains(&failure.code)
        }
        Err(_) => false,
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &PipelineError) -> String {
    let mut problem = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        // Some of these name their cause in their own text.
        let text = deeper.to_string();
        if !problem.contains(&text) {
            problem.push_str(": ");
            problem.push_str(&text);
        }
        cause = deeper.source();
    }
    problem
}

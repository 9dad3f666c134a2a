//! Leads nginx around servers that fail, and back.

use tokio::time::Instant;
use tracing::{info, warn};

use super::run::Controller;
use crate::apply::Outcome;

/// What is done about servers of upstreams that fail their checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ActiveChecks {
    /// They are shown and told to the master.
    #[default]
    Report,
    /// nginx is led around them as well, but for the last one of an upstream.
    Enforce,
}

impl Controller {
    /// What was marked down before the agent was started stays so until it is seen well.
    pub(super) fn seed_failing(&self) {
        let applied = self.pipeline.applied();
        let marked = applied.map(|applied| applied.marked_down.clone());
        let failing = marked.into_iter().flatten().map(|server| (server, 0));
        self.exchange.failing.send_replace(failing.collect());
    }

    /// Takes in which servers fail now; whether nginx is to be led elsewhere for it.
    pub(super) fn marks_differ(&mut self) -> bool {
        let failing = match self.options.active_checks {
            ActiveChecks::Report => Default::default(),
            ActiveChecks::Enforce => self.failing.borrow_and_update().clone(),
        };
        self.pipeline.note_failing(failing)
    }

    /// Brings nginx to the same version with other servers marked down.
    pub(super) async fn mark(&mut self) {
        let marked = self.pipeline.mark().await;
        let now = Instant::now();
        self.observed.mark_at = now + self.options.mark_spacing;
        self.observed.observe_at = now;
        self.publish_versions();
        match marked {
            Ok(applied) => {
                info!(
                    reloaded = applied.reloaded,
                    "led around the servers that fail"
                );
                self.note_led(&applied).await;
            }
            Err(Outcome::Rejected(failure) | Outcome::RolledBack(failure)) => {
                let pause = self.options.mark_spacing * 6;
                self.observed.mark_at = now + pause;
                warn!(
                    code = failure.code,
                    reason = failure.message,
                    "could not lead nginx around servers that fail; tried again in {pause:?}"
                );
            }
            Err(_) => {}
        }
    }
}

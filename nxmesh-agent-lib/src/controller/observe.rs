//! Looks at nginx.

use tokio::time::Instant;
use tracing::warn;

use super::{observed::Nginx, run::Controller};

impl Controller {
    pub(super) async fn observe(&mut self) {
        let seen = self.pipeline.observe().await;
        let now = Instant::now();
        self.pace.seen(seen.generation.as_ref());
        self.observed.reload_at = self.pace.next();
        self.observed.observe_at = now + self.options.observe_interval;
        let gone = seen.generation.is_none();
        let elsewhere = self.pipeline.applied().is_some() && !seen.serves_applied;
        let looks = self.care.looked(seen.silent, self.clock.unix_millis());
        self.observed.nginx = if seen.silent {
            let hung = looks >= self.options.watchdog.failed_looks;
            warn!(looks, hung, "nginx does not answer");
            if hung { Nginx::Hung } else { Nginx::Silent }
        } else if gone || elsewhere {
            warn!(
                gone,
                serving = seen.serving,
                "nginx does not serve what it should"
            );
            Nginx::Astray
        } else {
            self.care.well(now, self.options.stable_after);
            Nginx::Fine
        };
        if let Some(generation) = &seen.generation {
            let drift = self.exchange.status.borrow().drift.clone();
            let drifted = drift.is_some_and(|drift| !drift.files.is_empty());
            if self.files.loaded.seen(generation, drifted) {
                warn!("somebody else had nginx read its configuration");
                self.check().await;
            }
        }
        let mut new = self.nginx_status(seen.generation.as_ref());
        self.exchange.status.send_if_modified(|status| {
            let problem = status.nginx.problem.take();
            new.problem = problem.filter(|_| gone || elsewhere);
            let changed = status.nginx != new;
            status.nginx = new;
            changed
        });
    }
}

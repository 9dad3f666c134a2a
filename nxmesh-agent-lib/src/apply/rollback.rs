//! Back to the release before: the disk first, so that no restart takes the
//! failed one, then nginx, then the proof.

use std::time::Duration;

use nxmesh_core::contract::reloader::{Generation, ReloadError};
use tokio::time::sleep;

use super::{Failure, Outcome, Pipeline, code, confirm, journal::Switch, lead, switch};

/// How often going back is tried before it is left to the next recovery.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(100);

impl Pipeline {
    /// Leaves the failed release `to` for `from`. `kept` says that nginx never
    /// left `from`, as far as is known: then it only has to prove it.
    pub(super) async fn go_back(
        &mut self,
        from: Option<String>,
        to: &str,
        mut failure: Failure,
        kept: bool,
    ) -> Outcome {
        let mut problem = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                sleep(BACKOFF * 2u32.pow(attempt - 1)).await;
            }
            match self.restore(from.as_deref(), kept && attempt == 0).await {
                Ok(()) => {
                    self.settled = true;
                    if from.as_deref() != Some(to) {
                        self.discard(to).await;
                    }
                    return if kept && attempt == 0 {
                        Outcome::Rejected(failure)
                    } else {
                        Outcome::RolledBack(failure)
                    };
                }
                Err(error) => problem = error.message,
            }
        }
        tracing::error!(
            release = from,
            problem,
            "nginx is not back at its last good release"
        );
        failure.message = format!(
            "{}\nafter that the release before could not be confirmed: {problem}",
            failure.message
        );
        Outcome::RolledBack(failure)
    }

    async fn restore(&self, from: Option<&str>, kept: bool) -> Result<(), Failure> {
        let release = from.map(str::to_owned);
        self.file_work(move |options| {
            switch::write(options, release.as_deref()).map_err(|error| {
                let message = format!("could not restore {}: {error}", options.entry().display());
                Failure::new(code::STAGE, message)
            })
        })
        .await?;
        if kept {
            self.serving(from).await?;
        } else {
            self.bring_up(from).await?;
        }
        self.file_work(|options| {
            Switch::settled(&options.layout)
                .map_err(|error| Failure::new(code::STAGE, error.to_string()))
        })
        .await
    }

    /// Reloads or starts nginx onto what the entry says, and has it prove that
    /// it serves `release`.
    pub(super) async fn bring_up(&self, release: Option<&str>) -> Result<Generation, Failure> {
        let deadline = self.options.reload_deadline;
        match self.reloader.reload(deadline).await {
            Err(ReloadError::NotRunning) => self.reloader.start(deadline).await,
            other => other,
        }
        .map_err(|error| lead::reload_failure(&error))?;
        self.serving(release).await
    }

    /// The workers, if there are any and they name `release`.
    pub(super) async fn serving(&self, release: Option<&str>) -> Result<Generation, Failure> {
        if let Some(release) = release {
            confirm::serves(&self.options, release).await?;
        }
        let running = self
            .reloader
            .running()
            .await
            .map_err(|error| lead::reload_failure(&error))?;
        running
            .filter(|generation| !generation.workers.is_empty())
            .ok_or_else(|| Failure::new(code::NGINX, "nginx is not running"))
    }
}

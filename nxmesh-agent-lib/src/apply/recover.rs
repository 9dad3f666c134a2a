//! From whatever a crash, a reboot or a foreign hand left to a known state:
//! the old release or the new one, whole, with nginx seen serving it.

use std::{path::Path, sync::Arc, time::Duration};

use nxmesh_core::{
    bundle::Slice,
    contract::reloader::{Generation, ReloadError},
};

use super::{
    Failure, Pipeline, PipelineError, Recovered, blame, check, code, confirm, disk, garbage,
    journal::Switch,
    release::Place,
    switch::{self, Entry},
};

/// What lies on disk.
struct Found {
    entry: Entry,
    under_way: Option<Switch>,
    /// Whether the release of `applied` is as it was written.
    intact: bool,
}

impl Pipeline {
    /// Ends in the old or the new release after a crash, with nginx running
    /// and seen serving it; starts nginx if it does not run.
    ///
    /// # Errors
    ///
    /// [`PipelineError`]; may be called again at any time.
    pub async fn recover(&mut self) -> Result<Recovered, PipelineError> {
        self.settled = false;
        let found = self.look().await?;
        let before = self.running().await;
        let (mut entry, mut undone) = (found.entry, None);
        if let Some(switch) = found.under_way
            && entry == Entry::Release(switch.to.release.clone())
        {
            match self.finish(&switch).await {
                Ok(generation) => return Ok(self.recovered(generation, before, None)),
                Err(failure) => undone = Some(failure),
            }
            entry = self.look().await?.entry;
        }
        let release = self.last_good(entry, found.intact).await?;
        let ensured = match (&release, &undone) {
            // There is no release it could name, so only a reload leaves the undone one.
            (None, Some(_)) => self.bring_up(None).await,
            _ => self.ensure(release.as_deref()).await,
        };
        let generation = match ensured {
            Ok(generation) => generation,
            Err(failure) => {
                return Err(PipelineError::NotServing {
                    release: named(release.as_deref()),
                    failure: Box::new(failure),
                });
            }
        };
        self.file_work(|options| {
            Switch::settled(&options.layout)
                .map_err(|error| Failure::new(code::STAGE, error.to_string()))
        })
        .await
        .map_err(|failure| self.broken(&failure))?;
        self.settled = true;
        Ok(self.recovered(generation, before, undone))
    }

    /// Brings back an nginx that does not react any more: one that somebody has
    /// stopped goes on, any other is [restarted](Self::restart), if it
    /// [would come back](Self::would_come_back).
    ///
    /// # Errors
    ///
    /// [`PipelineError`]; may be called again at any time.
    pub async fn revive(&mut self, stop_deadline: Duration) -> Result<Recovered, PipelineError> {
        if self.goes_on().await {
            return self.recover().await;
        }
        self.would_come_back().await?;
        self.restart(stop_deadline).await
    }

    /// Whether nginx, once it was ended, would start again with the release it
    /// was last seen serving; that is made anew where it is damaged. Leaves the
    /// nginx that runs alone.
    ///
    /// # Errors
    ///
    /// [`PipelineError::NotRestarted`] if it would not.
    pub async fn would_come_back(&mut self) -> Result<(), PipelineError> {
        self.settled = false;
        let found = self.look().await?;
        if found.under_way.is_none() {
            self.last_good(found.entry, found.intact).await?;
        }
        let deadline = self.options.check_deadline;
        let would_start = self.reloader.would_start(deadline).await;
        would_start.map_err(|error| {
            let message = match error {
                ReloadError::WouldNotStart { reason } => reason,
                other => blame::chain(&other),
            };
            let failure = Failure::new(code::WOULD_NOT_START, message).retryable();
            PipelineError::NotRestarted {
                failure: Box::new(failure),
            }
        })
    }

    /// Ends nginx, by force if need be, and starts it anew with the release it
    /// was last seen serving.
    ///
    /// # Errors
    ///
    /// [`PipelineError`]; may be called again at any time.
    pub async fn restart(&mut self, stop_deadline: Duration) -> Result<Recovered, PipelineError> {
        self.settled = false;
        if let Err(error) = self.reloader.stop(stop_deadline).await {
            let applied = self.applied.as_ref();
            return Err(PipelineError::NotServing {
                release: named(applied.map(|applied| applied.release.as_str())),
                failure: Box::new(Failure::new(code::NGINX, blame::chain(&error))),
            });
        }
        self.recover().await
    }

    /// Whether nginx goes on that somebody had stopped.
    async fn goes_on(&self) -> bool {
        let resumed = match self.is_stopped().await {
            Some(true) => self.reloader.resume().await,
            _ => return false,
        };
        if let Err(error) = &resumed {
            tracing::warn!(error = blame::chain(error), "nginx cannot go on");
        }
        resumed.is_ok() && self.is_stopped().await == Some(false)
    }

    async fn is_stopped(&self) -> Option<bool> {
        let running = self.reloader.running().await.ok()?;
        Some(running?.stopped)
    }

    fn recovered(
        &self,
        generation: Generation,
        before: Option<Generation>,
        undone: Option<Failure>,
    ) -> Recovered {
        Recovered {
            applied: self.applied.clone(),
            started: before.is_none_or(|it| it.master_pid != generation.master_pid),
            generation,
            undone,
        }
    }

    async fn look(&self) -> Result<Found, PipelineError> {
        let applied = self.applied.clone();
        let options = Arc::clone(&self.options);
        let layout = options.layout.clone();
        self.files
            .run(move || {
                let layout = &options.layout;
                garbage::remove_unfinished(layout).map_err(unseen(&layout.releases()))?;
                if let super::Mode::Full(full) = &options.mode {
                    // Workers of another user write into folders that nginx
                    // makes in it and gives to them.
                    disk::make_folder(&full.temp_dir, 0o711).map_err(unseen(&full.temp_dir))?;
                }
                Ok(Found {
                    entry: switch::read(&options).map_err(unseen(&options.entry()))?,
                    under_way: Switch::read(layout).map_err(unseen(&layout.journal()))?,
                    intact: match &applied {
                        None => true,
                        Some(applied) => Place::new(&options, &applied.release)
                            .digest_on_disk()
                            .is_ok_and(|digest| digest == Some(applied.release_digest)),
                    },
                })
            })
            .await
            .map_err(unseen(layout.state_dir()))?
    }

    async fn running(&self) -> Option<Generation> {
        // An error here comes again, and is told, when nginx is brought up.
        let running = self.reloader.running().await.ok().flatten();
        running.filter(|generation| !generation.workers.is_empty())
    }

    /// Goes forward with a switch whose entry is in place; if nginx does not
    /// take it, the entry leads back.
    async fn finish(&mut self, switch: &Switch) -> Result<Generation, Failure> {
        let finished = self.try_to_finish(switch).await;
        match finished {
            Ok((generation, slice)) => {
                self.applied_now(switch.to.clone(), slice).await;
                Ok(generation)
            }
            Err(failure) => {
                let from = switch.from.clone();
                self.file_work(move |options| {
                    switch::write(options, from.as_deref())
                        .map_err(|error| Failure::new(code::STAGE, error.to_string()))
                })
                .await?;
                Err(failure)
            }
        }
    }

    async fn try_to_finish(
        &mut self,
        switch: &Switch,
    ) -> Result<(Generation, Arc<Slice>), Failure> {
        let slices = self.slices.clone();
        let digest = switch.to.digest;
        let slice = self
            .file_work(move |_| {
                slices.read(digest).map_err(|error| {
                    let message =
                        format!("the cached slice {} is damaged: {error}", digest.short());
                    Failure::new(code::STAGE, message)
                })
            })
            .await?;
        let slice = Arc::new(slice);
        self.render_again(&slice, &switch.to.marked_down).await?;
        let to = switch.to.clone();
        let intact = self
            .file_work(move |options| {
                let digest = Place::new(options, &to.release).digest_on_disk();
                Ok(digest.is_ok_and(|found| found == Some(to.release_digest)))
            })
            .await?;
        if !intact {
            let message = format!("release {} is damaged", switch.to.release);
            return Err(Failure::new(code::STAGE, message));
        }
        let generation = self.ensure(Some(&switch.to.release)).await?;
        self.confirm(&switch.to.release, &slice).await?;
        Ok((generation, slice))
    }

    /// nginx running and serving `release`; touched only if it does not.
    async fn ensure(&mut self, release: Option<&str>) -> Result<Generation, Failure> {
        let generation = match (self.running().await, release) {
            // A master without workers is brought back by a reload. What the user's
            // own configuration serves is worth that, whether it leads to us or not.
            (None, Some(_)) => match self.bring_up(release).await {
                Err(failure) if failure.code == code::PROBE => {
                    self.file_work(check::is_included).await?;
                    return Err(failure);
                }
                brought => brought?,
            },
            (None, None) => self.bring_up(None).await?,
            (Some(_), Some(name)) if !confirm::serves_now(&self.options, name).await => {
                self.file_work(check::is_included).await?;
                self.bring_up(release).await?
            }
            (Some(generation), _) => generation,
        };
        if let (Some(state), Some(slice)) = (self.remade.take(), self.applied_slice.clone()) {
            self.applied_now(state, slice).await;
        }
        Ok(generation)
    }

    pub(super) fn broken(&self, failure: &Failure) -> PipelineError {
        let error = std::io::Error::other(failure.message.clone());
        PipelineError::io("restore", self.options.layout.state_dir())(error)
    }
}

fn named(release: Option<&str>) -> String {
    release.map_or("no release".to_owned(), |it| format!("release {it}"))
}

fn unseen(path: &Path) -> impl FnOnce(std::io::Error) -> PipelineError + use<> {
    PipelineError::io("look at", path)
}

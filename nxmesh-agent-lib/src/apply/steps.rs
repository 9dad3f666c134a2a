//! The way of one version through all steps.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use nxmesh_core::{
    bundle::Slice,
    check::disruptions,
    contract::reloader::{Candidate, ReloadError},
    digest::Digest,
    model::{ResourceSet, Version},
};

use super::{
    Applied, AppliedState, Failure, Outcome, Partly, Pipeline, PipelineError, Progress, Target,
    accept::{self, Accepted},
    blame, check, code, confirm, disk,
    isolate::Isolation,
    journal::Switch,
    marks,
    release::Place,
    render::Rendering,
    stage,
    switch::{self, Entry},
};
use crate::nginx::Layout;

/// Names the steps and tells how long each took.
pub(super) struct Stopwatch {
    since: Instant,
    durations: Vec<(&'static str, Duration)>,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self {
            since: Instant::now(),
            durations: Vec::new(),
        }
    }

    pub(super) fn lap(&mut self, step: &'static str) {
        let now = Instant::now();
        self.durations.push((step, now.duration_since(self.since)));
        self.since = now;
    }
}

/// A version laid out on disk.
pub(super) struct Staged {
    pub(super) state: AppliedState,
    pub(super) place: Place,
    /// What to check; `None` if nginx was seen serving it already.
    pub(super) candidate: Option<Result<Candidate, Failure>>,
}

impl Pipeline {
    /// Brings nginx to `target`. One at a time; `progress` is told of each
    /// phase as it is reached.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves what a crash would leave; the next call settles it.
    pub async fn apply(
        &mut self,
        target: Target,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Outcome {
        let offered = Accepted {
            version: target.version,
            digest: target.slice.digest(),
        };
        let wanted = Arc::new(target.slice);
        let mut slice = Arc::clone(&wanted);
        let mut isolation = Isolation::default();
        loop {
            // What is told on the way is about the whole version.
            let told: &mut (dyn FnMut(Progress) + Send) = match isolation.partly() {
                None => progress,
                Some(_) => &mut |_| (),
            };
            let partly = isolation.partly().cloned();
            let outcome = self.run(offered, &wanted, slice, partly, told).await;
            match outcome {
                Ok(applied) => {
                    return match isolation.partly() {
                        None => Outcome::Applied(applied),
                        Some(partly) => Outcome::HeldBack(partly.clone()),
                    };
                }
                Err(Outcome::Rejected(failure)) => {
                    match self.hold_back(&mut isolation, &wanted, &failure) {
                        Some(rest) => slice = rest,
                        None => return Outcome::Rejected(failure),
                    }
                }
                Err(outcome) => return outcome,
            }
        }
    }

    /// Brings nginx to `slice`, which is what is `wanted` of the version, or
    /// `partly` so.
    async fn run(
        &mut self,
        offered: Accepted,
        wanted: &Arc<Slice>,
        slice: Arc<Slice>,
        partly: Option<Partly>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Applied, Outcome> {
        let mut watch = Stopwatch::start();
        accept::judge(self.accepted, offered).map_err(Outcome::Rejected)?;
        self.settle_first().await.map_err(Outcome::Rejected)?;
        // Dropped from here on, this may come to be kept all the same.
        let before = self.accepted.replace(offered);
        let written = self.write(offered, wanted, &slice).await;
        let mut unsynced = written.map_err(|failure| {
            self.accepted = before;
            Outcome::Rejected(failure)
        })?;
        watch.lap("accept");
        let mut staged = self
            .stage_version(offered.version, &slice, partly, &mut unsynced, &mut watch)
            .await;
        let candidate = staged.as_mut().ok().and_then(|it| it.candidate.take());
        let serving = candidate.is_none();
        // The check only reads, so what it reads is synced meanwhile.
        let (kept, checked) = tokio::join!(
            async {
                self.keep(offered, unsynced).await?;
                progress(Progress::Received);
                Ok(())
            },
            async {
                match candidate {
                    Some(candidate) => self.check(candidate).await,
                    None => Ok(()),
                }
            }
        );
        match &kept {
            Ok(()) => self.accepted_slice = Some(Arc::clone(wanted)),
            Err(_) => self.accepted = before,
        }
        let Staged { state, place, .. } = staged.map_err(Outcome::Rejected)?;
        if let Err(failure) = kept.and(checked) {
            self.discard(&place.name).await;
            return Err(Outcome::Rejected(self.assign(failure, &place)));
        }
        if serving {
            watch.lap("compare");
            self.applied_now(state.clone(), slice).await;
            return Ok(applied(&state, false, watch));
        }
        progress(Progress::Staged);
        watch.lap("check");
        self.lead_to(state, place, slice, watch).await
    }

    /// Switches to a release that was checked, and proves it, or goes back.
    pub(super) async fn lead_to(
        &mut self,
        state: AppliedState,
        place: Place,
        slice: Arc<Slice>,
        mut watch: Stopwatch,
    ) -> Result<Applied, Outcome> {
        // From here on a crash leaves something to settle.
        self.settled = false;
        let (from, switched) = self.switch(state.clone()).await;
        if let Err(failure) = switched {
            return Err(self.go_back(from, &place.name, failure, true).await);
        }
        watch.lap("switch");
        let reloaded = self.move_on(&place).await;
        watch.lap("reload");
        if let Err((failure, kept)) = reloaded {
            return Err(self.go_back(from, &place.name, failure, kept).await);
        }
        if let Err(failure) = self.confirm(&place.name, &slice).await {
            return Err(self.go_back(from, &place.name, failure, false).await);
        }
        watch.lap("confirm");
        let before = self.applied_slice.as_ref();
        let disruptions = before.map_or_else(Vec::new, |before| {
            disruptions(before.resources(), slice.resources())
        });
        self.applied_now(state.clone(), slice).await;
        watch.lap("record");
        self.collect_garbage(from);
        Ok(Applied {
            disruptions,
            ..applied(&state, true, watch)
        })
    }

    /// Ends what was left half done. An nginx that cannot serve the old
    /// release does not keep the new one out: it may be the cure.
    pub(super) async fn settle_first(&mut self) -> Result<(), Failure> {
        if self.settled {
            return Ok(());
        }
        match self.recover().await {
            Ok(_) => Ok(()),
            Err(error @ PipelineError::NotServing { .. }) => {
                tracing::warn!(%error, "going on to the next version");
                Ok(())
            }
            Err(error) => Err(Failure::new(code::STAGE, blame::chain(&error)).retryable()),
        }
    }

    /// Renders a version and lays it out for a check, unless nginx serves
    /// these very bytes already.
    pub(super) async fn stage_version(
        &mut self,
        version: Version,
        slice: &Arc<Slice>,
        partly: Option<Partly>,
        unsynced: &mut Vec<PathBuf>,
        watch: &mut Stopwatch,
    ) -> Result<Staged, Failure> {
        let marked_down = marks::dispensable(slice.resources(), &self.failing);
        let marked = marks::marked(slice, &marked_down).map(Arc::new);
        let rendered = marked.unwrap_or_else(|| Arc::clone(slice));
        let release_digest = self.render(rendered).await?;
        watch.lap("render");
        let mut state = AppliedState {
            version,
            digest: slice.digest(),
            release_digest,
            release: Layout::release_name(version, release_digest),
            partly,
            marked_down,
        };
        if let Some(release) = self.serves_already(&state).await {
            let place = Place::new(&self.options, &release);
            state.release = release;
            return Ok(Staged {
                state,
                place,
                candidate: None,
            });
        }
        let (staged, candidate) = self.stage(&state.release).await?;
        watch.lap("stage");
        unsynced.extend(staged.unsynced);
        state.release.clone_from(&staged.place.name);
        Ok(Staged {
            state,
            place: staged.place,
            candidate: Some(candidate),
        })
    }

    async fn render(&mut self, slice: Arc<Slice>) -> Result<Digest, Failure> {
        let previous = self.rendering.take();
        let renderer = Arc::clone(&self.renderer);
        let rendering = self
            .file_work(move |options| Rendering::of(slice, previous, &*renderer, &options.render))
            .await?;
        let digest = rendering.tree.digest();
        self.rendering = Some(rendering);
        Ok(digest)
    }

    /// The release that already serves these very bytes, seen doing so.
    async fn serves_already(&self, wanted: &AppliedState) -> Option<String> {
        let applied = self.applied.clone()?;
        if applied.release_digest != wanted.release_digest {
            return None;
        }
        let (release, tree) = (
            applied.release.clone(),
            self.rendering.as_ref()?.tree.clone(),
        );
        let intact = self
            .file_work(move |options| {
                stage::write_pem_files(options, &tree)?;
                let there =
                    switch::read(options).is_ok_and(|it| it == Entry::Release(release.clone()));
                let digest = Place::new(options, &release).digest_on_disk();
                Ok(there && digest.is_ok_and(|found| found == Some(tree.digest())))
            })
            .await;
        let serves =
            intact == Ok(true) && confirm::serves_now(&self.options, &applied.release).await;
        serves.then_some(applied.release)
    }

    pub(super) async fn check(&self, candidate: Result<Candidate, Failure>) -> Result<(), Failure> {
        let deadline = self.options.check_deadline;
        let checked = self.reloader.check(&candidate?, deadline).await;
        checked.map_err(check::failure)
    }

    /// Names the resource at fault.
    pub(super) fn assign(&self, failure: Failure, place: &Place) -> Failure {
        match &self.rendering {
            Some(rendering) => blame::assign(failure, rendering, &place.folder),
            None => failure,
        }
    }

    /// Writes the journal, then the entry. Gives the release the entry led to
    /// before, in any case.
    async fn switch(&self, to: AppliedState) -> (Option<String>, Result<(), Failure>) {
        let good = self.applied.as_ref().map(|applied| applied.release.clone());
        let (or, clock) = (good.clone(), Arc::clone(&self.clock));
        let switched = self.file_work(move |options| {
            let from = match switch::read(options) {
                Ok(Entry::Release(name)) => Some(name),
                Ok(Entry::Nothing | Entry::Missing) => None,
                Ok(Entry::Foreign) | Err(_) => or,
            };
            let release = to.release.clone();
            let written = Switch::new(to, from.clone(), &*clock)
                .write(&options.layout)
                .and_then(|()| switch::now(options))
                .map_err(|error| {
                    let message = format!("could not switch to release {release}: {error}");
                    Failure::new(code::STAGE, message).retryable()
                });
            Ok((from, written))
        });
        match switched.await {
            Ok(switched) => switched,
            Err(failure) => (good, Err(failure)),
        }
    }

    /// Reloads nginx, or starts it. The error says whether nginx never left
    /// the release before.
    async fn move_on(&self, place: &Place) -> Result<(), (Failure, bool)> {
        let deadline = self.options.reload_deadline;
        let (result, ran) = match self.reloader.reload(deadline).await {
            Err(ReloadError::NotRunning) => (self.reloader.start(deadline).await, false),
            other => (other, true),
        };
        result.map(drop).map_err(|error| {
            let kept = ran && matches!(error, ReloadError::Rejected { .. });
            (self.assign(reload_failure(&error), place), kept)
        })
    }

    /// The proof: nginx names `release`, and the hosts that `slice` changes answer.
    pub(super) async fn confirm(&self, release: &str, slice: &Slice) -> Result<(), Failure> {
        confirm::serves(&self.options, release).await?;
        let nothing = ResourceSet::default();
        let before = self
            .applied_slice
            .as_ref()
            .map_or(&nothing, |slice| slice.resources());
        let probes = confirm::questions(before, slice.resources(), self.options.probed_hosts);
        confirm::hosts(&self.options, &probes).await
    }

    /// Records what was seen. That nginx serves it stays true if the disk
    /// cannot take the record: the journal then makes the next start look again.
    pub(super) async fn applied_now(&mut self, state: AppliedState, slice: Arc<Slice>) {
        let record = state.clone();
        let recorded = self.file_work(move |options| {
            disk::replace_json(&options.layout.applied(), &record)
                .and_then(|()| Switch::settled(&options.layout))
                .map_err(|error| Failure::new(code::STAGE, error.to_string()))
        });
        if let Err(failure) = recorded.await {
            tracing::error!(
                error = failure.message,
                "could not record what nginx serves"
            );
        }
        let pem_files = self.rendering.iter().flat_map(|it| it.tree.pem_files());
        let pem_names = pem_files.map(|(name, _)| name.to_owned()).collect();
        let [running, before] = &mut self.pem_names;
        *before = std::mem::replace(running, pem_names);
        if let Some(last) = self.applied.replace(state.clone())
            && last.release != state.release
        {
            self.earlier.push_front(last.release);
            self.earlier
                .truncate(self.options.kept_releases.saturating_sub(1));
        }
        self.applied_slice = Some(slice);
        self.settled = true;
    }
}

pub(super) fn applied(state: &AppliedState, reloaded: bool, watch: Stopwatch) -> Applied {
    Applied {
        version: state.version,
        digest: state.digest,
        release: state.release_digest,
        reloaded,
        disruptions: Vec::new(),
        durations: watch.durations,
    }
}

/// What a failed start or reload means. A refusal disturbed nothing, and as
/// the same bytes passed `nginx -t` it lies with the machine: a port that may
/// become free. What disturbed nginx once is not tried again unasked.
pub(super) fn reload_failure(error: &ReloadError) -> Failure {
    match error {
        ReloadError::Rejected { diagnostic } => {
            Failure::new(code::RELOAD, diagnostic.clone()).retryable()
        }
        ReloadError::NotConfirmed { .. } | ReloadError::Backend { .. } => {
            Failure::new(code::GENERATION, blame::chain(error))
        }
        _ => Failure::new(code::NGINX, blame::chain(error)),
    }
}

//! The way of one version through all steps.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use nxmesh_core::{bundle::Slice, contract::reloader::Candidate, digest::Digest, model::Version};

use super::{
    Applied, AppliedState, Failure, Outcome, Partly, Pipeline, PipelineError, Progress, Target,
    accept::{self, Accepted},
    blame, check, code,
    isolate::Isolation,
    marks,
    release::Place,
    render::Rendering,
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
                Err(Outcome::Rejected(mut failure)) => {
                    self.find_culprit(&mut isolation, offered.version, &wanted, &mut failure)
                        .await;
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

//! From a release that was checked to one that is seen serving, or back.

use std::sync::Arc;

use nxmesh_core::{bundle::Slice, check::disruptions, contract::reloader::ReloadError};

use super::{
    Applied, AppliedState, Failure, Outcome, Pipeline, blame, code, disk,
    journal::Switch,
    release::Place,
    steps::{Stopwatch, applied},
    switch::{self, Entry},
};

impl Pipeline {
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
        let (confirmed, as_checked) = tokio::join!(
            self.confirm(&place.name, &slice),
            self.is_as_checked(&place, state.release_digest)
        );
        if let Err(failure) = confirmed.and(as_checked) {
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
        self.applied_lost = false;
        self.applied_slice = Some(slice);
        self.settled = true;
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
        ReloadError::WouldNotStart { reason } => {
            let message = format!(
                "workers of a killed nginx serve on, as a new one would not start: {reason}"
            );
            Failure::new(code::WOULD_NOT_START, message).retryable()
        }
        _ => Failure::new(code::NGINX, blame::chain(error)),
    }
}

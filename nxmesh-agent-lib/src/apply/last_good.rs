//! The release to serve when nothing is under way: the last one seen serving, made
//! anew where it is damaged.

use std::sync::Arc;

use nxmesh_core::bundle::Slice;

use super::{
    AppliedState, Failure, Pipeline, PipelineError, check, code,
    marks::{self, Server},
    render::Rendering,
    stage,
    switch::{self, Entry},
};
use crate::nginx::Layout;

impl Pipeline {
    /// Leads the entry to the last release that was seen serving, made anew
    /// if it is damaged or was written by an agent that wrote otherwise; before
    /// the first one to nothing, or to an empty release where the whole
    /// configuration is ours. Where it is forgotten which one that was, the
    /// entry stays.
    pub(super) async fn last_good(
        &mut self,
        entry: Entry,
        intact: bool,
    ) -> Result<Option<String>, PipelineError> {
        if let (true, Entry::Release(name)) = (self.applied_lost, &entry) {
            return Ok(Some(name.clone()));
        }
        let slice = match (&self.applied, &self.applied_slice) {
            (Some(_), slice) => slice.clone(),
            (None, _) if self.options.is_full() => Some(Arc::default()),
            (None, _) => None,
        };
        let applied = self.applied.as_ref();
        let marked_down = applied.map(|it| it.marked_down.clone()).unwrap_or_default();
        let rendered = match &slice {
            Some(slice) => self.render_again(slice, &marked_down).await,
            None => Ok(()),
        };
        let release = match (self.applied.clone(), &self.rendering) {
            (Some(applied), _) if intact => Some(applied.release),
            (Some(applied), Some(_)) if rendered.is_ok() && slice.is_some() => {
                tracing::warn!(
                    release = applied.release,
                    "the release is damaged, it is made anew"
                );
                Some(
                    self.make_anew(applied)
                        .await
                        .map_err(|failure| self.broken(&failure))?,
                )
            }
            // Damaged, and nothing to make it from: it may serve well enough.
            (Some(applied), _) => Some(applied.release),
            (None, Some(_)) if self.options.is_full() => Some(
                self.stage_empty()
                    .await
                    .map_err(|failure| self.broken(&failure))?,
            ),
            (None, _) => None,
        };
        let wanted = release.clone().map_or(Entry::Nothing, Entry::Release);
        if entry != wanted {
            let to = release.clone();
            let options = Arc::clone(&self.options);
            let path = self.options.entry();
            self.files
                .run(move || switch::write(&options, to.as_deref()))
                .await
                .and_then(|written| written)
                .map_err(PipelineError::io("write", &path))?;
        }
        Ok(release)
    }

    /// Renders a cached slice and puts its certificates and keys where nginx
    /// reads them; the folder may have been emptied by a reboot.
    pub(super) async fn render_again(
        &mut self,
        slice: &Arc<Slice>,
        marked_down: &[Server],
    ) -> Result<(), Failure> {
        let marked = marks::marked(slice, marked_down).map(Arc::new);
        let slice = marked.unwrap_or_else(|| Arc::clone(slice));
        let renderer = Arc::clone(&self.renderer);
        let rendering = self
            .file_work(move |options| {
                let rendering = Rendering::of(slice, None, &*renderer, &options.render)?;
                stage::write_pem_files(options, &rendering.tree)?;
                Ok(rendering)
            })
            .await?;
        self.rendering = Some(rendering);
        Ok(())
    }

    async fn make_anew(&mut self, applied: AppliedState) -> Result<String, Failure> {
        let Some(rendering) = &self.rendering else {
            return Ok(applied.release);
        };
        let tree = rendering.tree.clone();
        let damaged = applied.release.clone();
        let (state, candidate) = self
            .file_work(move |options| {
                let release_digest = tree.digest();
                let name = Layout::release_name(applied.version, release_digest);
                let basis = stage::Basis {
                    previous: Some(&applied.release),
                    retired: None,
                };
                let place = stage::stage(options, &tree, &name, basis)?.synced()?;
                let candidate = check::prepare(options, &place);
                let state = AppliedState {
                    release: place.name,
                    release_digest,
                    ..applied
                };
                Ok((state, candidate))
            })
            .await?;
        if let Err(failure) = self.check(candidate).await {
            tracing::error!(
                reason = failure.message,
                "nginx does not take the release made anew"
            );
            self.discard(&state.release).await;
            return Ok(damaged);
        }
        let name = state.release.clone();
        // Until nginx is seen serving it, a restart has to come here again.
        self.remade = Some(state);
        Ok(name)
    }

    async fn stage_empty(&self) -> Result<String, Failure> {
        let Some(rendering) = &self.rendering else {
            return Err(Failure::new(code::RENDER, "the renderer gave nothing"));
        };
        let tree = rendering.tree.clone();
        self.file_work(move |options| {
            let name = Layout::release_name(Default::default(), tree.digest());
            let basis = stage::Basis::default();
            Ok(stage::stage(options, &tree, &name, basis)?.synced()?.name)
        })
        .await
    }
}

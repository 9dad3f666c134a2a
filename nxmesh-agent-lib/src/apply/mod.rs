//! Brings one nginx to a version, proves it, or leaves it as it was.

pub(crate) mod disk;
mod options;
mod outcome;

use std::sync::Arc;

use nxmesh_core::{
    bundle::Slice,
    contract::{clock::Clock, reloader::Reloader, renderer::Renderer},
    digest::Digest,
    model::Version,
};

pub use options::{ApplyOptions, Mode};
pub use outcome::{
    Applied, AppliedState, Failure, Observed, Outcome, PipelineError, Progress, Recovered, Target,
    code,
};

use crate::cache::AtRestKey;

/// What an `nginx.conf` that is wholly ours says.
#[derive(Debug, Clone, Default)]
pub struct FullOptions {}

/// The apply pipeline of one nginx.
#[derive(Debug)]
pub struct Pipeline {
    options: ApplyOptions,
}

impl Pipeline {
    /// Takes the lock on the state folder, makes the folders and reads what was
    /// accepted and applied before. Does not touch nginx.
    ///
    /// # Errors
    ///
    /// [`PipelineError::Locked`] or [`PipelineError::Io`].
    pub async fn open(
        options: ApplyOptions,
        renderer: Arc<dyn Renderer>,
        reloader: Arc<dyn Reloader>,
        sealing_key: AtRestKey,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PipelineError> {
        unimplemented!()
    }

    /// Ends in the old or the new release after a crash, with nginx running
    /// and seen serving it; starts nginx if it does not run.
    ///
    /// # Errors
    ///
    /// [`PipelineError`]; may be called again at any time.
    pub async fn recover(&mut self) -> Result<Recovered, PipelineError> {
        unimplemented!()
    }

    /// The newest version taken on.
    #[must_use]
    pub fn accepted(&self) -> Option<Version> {
        unimplemented!()
    }

    /// What nginx was last seen serving.
    #[must_use]
    pub fn applied(&self) -> Option<&AppliedState> {
        unimplemented!()
    }

    /// The slice of the newest version taken on; `None` if there is none or
    /// its copy on disk cannot be read.
    #[must_use]
    pub fn accepted_slice(&self) -> Option<&Slice> {
        unimplemented!()
    }

    /// The digest of the release the entry file names, computed anew from the
    /// files on disk; `None` if there is none or a file is missing.
    pub async fn running_digest(&self) -> Option<Digest> {
        unimplemented!()
    }

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
        unimplemented!()
    }

    /// Looks at nginx without touching it.
    pub async fn observe(&self) -> Observed {
        unimplemented!()
    }
}

//! Brings one nginx to a version, proves it, or leaves it as it was.
//!
//! One file per step: `accept`, `render`, `stage`, `check`, `switch`, then the
//! reload through the [`Reloader`], `confirm`, and `rollback` where that fails.
//! `journal` and `recover` end what a crash left half done.
//!
//! # What is synced, and in which order
//!
//! A power cut may take back, or leave torn, what is not synced. In this order
//! it leaves the old release or the new one, whole, and never an older version:
//!
//! 1. Before anything leads to them, while `nginx -t` reads them: the slice, the
//!    new files of the release, every folder in which a name changed, and beside
//!    the files in use the next entry and the next record of what is accepted.
//! 2. The record of what is accepted gets its name, and its folder is synced.
//!    Now the version counts as taken on, and the master is told. Not before 1:
//!    the record refers to the slice.
//! 3. The entry gets its name: the switch. Not before 1, for nginx may be
//!    started by anybody at any time from here on. That this name lasts is not
//!    waited for: without it nginx has the release before.
//! 4. After the proof the record of what is applied is synced, gets its name,
//!    and the folder of both names is synced. Now the master is told.
//!
//! Not synced are the journal (without it recovery goes back instead of
//! forward), what only a check reads, and the keys in the runtime folder, which
//! are made again from the slice.

mod accept;
mod adopt;
mod blame;
pub(crate) mod certificates;
mod check;
mod confirm;
mod differing;
pub(crate) mod disk;
mod drift;
mod files;
mod garbage;
mod isolate;
mod journal;
mod last_good;
mod lay_out;
mod lead;
pub(crate) mod marks;
mod mend;
mod nginx_conf;
mod options;
mod outcome;
mod probe;
mod proof;
mod recover;
mod release;
mod render;
mod rollback;
mod search;
mod stage;
mod steps;
mod switch;
mod unified;

use std::{collections::VecDeque, io, path::Path, sync::Arc};

use nxmesh_core::{
    bundle::Slice,
    contract::{
        clock::Clock,
        reloader::Reloader,
        renderer::{RenderedTree, Renderer},
    },
    digest::Digest,
    model::Version,
};

use self::{accept::Accepted, files::Files, release::Place, render::Rendering, switch::Entry};
pub use adopt::{AdoptError, Adoption, adopt, release};
pub(crate) use blame::chain;
pub use drift::Compared;
pub use marks::Server;
pub use options::{ApplyOptions, BadResource, Mode};
pub use outcome::{
    Applied, AppliedState, Failure, Observed, Outcome, Partly, PipelineError, Progress, Recovered,
    Target, code,
};

use crate::cache::{AtRestKey, SliceStore};

/// The apply pipeline of one nginx.
#[derive(Debug)]
pub struct Pipeline {
    options: Arc<ApplyOptions>,
    renderer: Arc<dyn Renderer>,
    reloader: Arc<dyn Reloader>,
    clock: Arc<dyn Clock>,
    files: Files,
    slices: SliceStore,
    accepted: Option<Accepted>,
    accepted_slice: Option<Arc<Slice>>,
    applied: Option<AppliedState>,
    /// Whether the disk has forgotten what was applied; until the next apply.
    applied_lost: bool,
    applied_slice: Option<Arc<Slice>>,
    /// What was rendered last, whatever became of it.
    rendering: Option<Rendering>,
    /// The files of a release that was confirmed, by its digest; `None` if they
    /// cannot be made again.
    confirmed: Option<(Digest, Option<RenderedTree>)>,
    /// A release made anew in the place of a damaged one, not yet seen serving.
    remade: Option<AppliedState>,
    /// Servers of upstreams that fail now.
    failing: marks::Failing,
    /// The releases that served before the running one, the latest first.
    earlier: VecDeque<String>,
    /// The certificates and keys of the running release and the one before.
    pem_names: [std::collections::BTreeSet<String>; 2],
    /// Whether entry, nginx and `applied` are known to agree.
    settled: bool,
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
        let mut options = options;
        options.render.tls_dir = options.layout.tls();
        let layout = options.layout.clone();
        let slices = SliceStore::new(layout.slices(), sealing_key);
        let stored = slices.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let files = Files::open(&layout)?;
            let (accepted, accepted_lost) = record::<Accepted>(&layout.accepted())?;
            let (applied, applied_lost) = record::<AppliedState>(&layout.applied())?;
            // Never below what was seen serving.
            let accepted = match &applied {
                Some(applied) if accepted_lost => applied.whole().map(Accepted::from),
                _ => accepted,
            };
            let read = |digest: Option<Digest>| {
                let digest = digest?;
                stored
                    .read(digest)
                    .inspect_err(|error| {
                        tracing::error!(digest = %digest.short(), %error, "a cached slice is damaged");
                    })
                    .ok()
                    .map(Arc::new)
            };
            let accepted_slice = read(accepted.map(|accepted| accepted.digest));
            let applied_slice = match (&applied, &accepted_slice) {
                (Some(applied), Some(slice)) if applied.digest == slice.digest() => {
                    Some(Arc::clone(slice))
                }
                (applied, _) => read(applied.as_ref().map(|applied| applied.digest)),
            };
            let lost = applied_lost;
            Ok((
                files,
                accepted,
                applied,
                lost,
                accepted_slice,
                applied_slice,
            ))
        });
        let opened = opened.await.map_err(|error| {
            PipelineError::io("open", options.layout.state_dir())(io::Error::other(error))
        })?;
        let (files, accepted, applied, applied_lost, accepted_slice, applied_slice) = opened?;
        Ok(Self {
            options: Arc::new(options),
            renderer,
            reloader,
            clock,
            files,
            slices,
            accepted,
            accepted_slice,
            applied,
            applied_lost,
            applied_slice,
            rendering: None,
            confirmed: None,
            remade: None,
            failing: marks::Failing::default(),
            earlier: VecDeque::new(),
            pem_names: Default::default(),
            settled: false,
        })
    }

    /// The newest version taken on.
    #[must_use]
    pub fn accepted(&self) -> Option<Version> {
        self.accepted.map(|accepted| accepted.version)
    }

    /// What nginx was last seen serving.
    #[must_use]
    pub const fn applied(&self) -> Option<&AppliedState> {
        self.applied.as_ref()
    }

    /// The slice of the newest version taken on; `None` if there is none or
    /// its copy on disk cannot be read.
    #[must_use]
    pub fn accepted_slice(&self) -> Option<&Slice> {
        self.accepted_slice.as_deref()
    }

    /// The digest of the release the entry file names, computed anew from the
    /// files on disk; `None` if there is none or a file is not as it was written.
    pub async fn running_digest(&self) -> Option<Digest> {
        let options = Arc::clone(&self.options);
        let looked = self.files.run(move || match switch::read(&options) {
            Ok(Entry::Release(name)) => Place::new(&options, &name).digest_on_disk(),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        });
        looked
            .await
            .and_then(|found| found)
            .inspect_err(|error| tracing::warn!(%error, "could not read the release on disk"))
            .ok()
            .flatten()
    }

    /// Looks at nginx without touching it.
    pub async fn observe(&self) -> Observed {
        let generation = self
            .reloader
            .running()
            .await
            .inspect_err(|error| {
                tracing::warn!(error = blame::chain(error), "could not look at nginx");
            })
            .ok()
            .flatten()
            .filter(|generation| !generation.workers.is_empty());
        let serving = match &generation {
            Some(_) => confirm::release_named(&self.options).await,
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        let expected = self.applied.as_ref().map(|applied| &applied.release);
        let silent = serving.as_ref().err().filter(|_| expected.is_some());
        Observed {
            serves_applied: expected.is_some() && serving.as_ref().ok() == expected,
            silent: generation.as_ref().is_some_and(|it| it.stopped)
                || generation.is_some() && silent.is_some_and(probe::is_silence),
            generation,
            serving: serving.ok(),
        }
    }

    /// Runs file work that fails with a [`Failure`].
    async fn file_work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ApplyOptions) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let options = Arc::clone(&self.options);
        self.files
            .run(move || work(&options))
            .await
            .map_err(|error| Failure::new(code::STAGE, error.to_string()).retryable())?
    }
}

/// A record of ours, and whether it was damaged: what it said is then found out
/// anew, by asking nginx.
fn record<T: serde::de::DeserializeOwned>(path: &Path) -> Result<(Option<T>, bool), PipelineError> {
    match disk::read_json(path) {
        Ok(record) => Ok((record, false)),
        Err(error) if disk::is_damage(&error) => {
            tracing::error!(path = %path.display(), %error, "a record is damaged");
            Ok((None, true))
        }
        Err(error) => Err(PipelineError::io("read", path)(error)),
    }
}

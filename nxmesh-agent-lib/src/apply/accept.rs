//! First step: whether a version is taken on at all. Never backwards.

use std::{io, path::PathBuf, sync::Arc};

use nxmesh_core::{bundle::Slice, digest::Digest, model::Version};
use serde::{Deserialize, Serialize};

use super::{Failure, Pipeline, code, disk};
use crate::{cache::SliceStore, nginx::Layout};

/// The newest version taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accepted {
    pub(super) version: Version,
    pub(super) digest: Digest,
}

impl From<(Version, Digest)> for Accepted {
    fn from((version, digest): (Version, Digest)) -> Self {
        Self { version, digest }
    }
}

/// Takes strictly newer versions, and the same one again if it says the same.
pub(super) fn judge(current: Option<Accepted>, offered: Accepted) -> Result<(), Failure> {
    let Some(current) = current else {
        return Ok(());
    };
    if offered.version < current.version {
        let message = format!(
            "version {} is older than {}, which was taken on before",
            offered.version, current.version
        );
        return Err(Failure::new(code::STALE, message));
    }
    if offered.version == current.version && offered.digest != current.digest {
        let message = format!(
            "version {} was taken on with content {}, now it has content {}",
            offered.version,
            current.digest.short(),
            offered.digest.short()
        );
        return Err(Failure::new(code::CONFLICT, message));
    }
    Ok(())
}

impl Pipeline {
    /// Writes down what a version says, what of it is to be served, and that it
    /// is to be the newest. That counts only once it is [kept](Self::keep).
    /// Returns what has to be synced before.
    pub(super) async fn write(
        &self,
        offered: Accepted,
        wanted: &Arc<Slice>,
        served: &Arc<Slice>,
    ) -> Result<Vec<PathBuf>, Failure> {
        let slices = self.slices.clone();
        let (wanted, served) = (Arc::clone(wanted), Arc::clone(served));
        self.file_work(move |options| {
            let layout = &options.layout;
            write(layout, &slices, offered, &wanted, &served).map_err(not_kept(offered))
        })
        .await
    }

    /// Makes the decision survive a power cut: first `unsynced`, all that was
    /// written for the version, then that it is the newest. A power cut
    /// between the two leaves the one before, and files nobody refers to.
    pub(super) async fn keep(
        &self,
        offered: Accepted,
        unsynced: Vec<PathBuf>,
    ) -> Result<(), Failure> {
        self.file_work(move |options| keep(&options.layout, &unsynced).map_err(not_kept(offered)))
            .await
    }
}

fn write(
    layout: &Layout,
    slices: &SliceStore,
    accepted: Accepted,
    wanted: &Slice,
    served: &Slice,
) -> io::Result<Vec<PathBuf>> {
    let mut written = vec![slices.write(wanted)?, slices.folder().to_owned()];
    if served.digest() != wanted.digest() {
        written.push(slices.write(served)?);
    }
    written.push(disk::prepare_json(&layout.accepted(), &accepted)?);
    Ok(written)
}

fn keep(layout: &Layout, unsynced: &[PathBuf]) -> io::Result<()> {
    disk::sync(unsynced)?;
    disk::put(&layout.accepted())?;
    disk::sync(&[layout.state_dir().to_owned()])
}

fn not_kept(offered: Accepted) -> impl FnOnce(io::Error) -> Failure {
    move |error| {
        let message = format!("could not keep version {}: {error}", offered.version);
        Failure::new(code::STAGE, message).retryable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, revision: u64, content: &[u8]) -> Accepted {
        Accepted {
            version: Version { epoch, revision },
            digest: Digest::of(content),
        }
    }

    #[test]
    fn versions_only_rise() {
        let current = Some(at(2, 5, b"a"));
        let code = |offered| judge(current, offered).err().map(|failure| failure.code);
        assert_eq!(code(at(2, 6, b"a")), None);
        assert_eq!(code(at(3, 1, b"b")), None);
        assert_eq!(code(at(2, 5, b"a")), None);
        assert_eq!(code(at(2, 5, b"b")), Some(code::CONFLICT));
        assert_eq!(code(at(2, 4, b"b")), Some(code::STALE));
        assert_eq!(code(at(1, 9, b"b")), Some(code::STALE));
        assert_eq!(judge(None, at(1, 1, b"a")), Ok(()));
    }
}

//! Sealed slices on disk, each under the name of its digest.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use nxmesh_core::{
    bundle::Slice,
    digest::Digest,
    model::{Resource, ResourceSet},
};
use zeroize::Zeroizing;

use super::AtRestKey;
use crate::apply::disk;

/// A folder of sealed slices.
#[derive(Debug, Clone)]
pub(crate) struct SliceStore {
    folder: PathBuf,
    key: AtRestKey,
}

impl SliceStore {
    pub(crate) fn new(folder: PathBuf, key: AtRestKey) -> Self {
        Self { folder, key }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// Writes a slice and returns its file, which is not synced, and neither
    /// is its name in the [folder](Self::folder). One that lies there already
    /// and opens is left alone.
    pub(crate) fn write(&self, slice: &Slice) -> io::Result<PathBuf> {
        let path = self.path(slice.digest());
        if self.read(slice.digest()).is_ok() {
            return Ok(path);
        }
        let resources: Vec<&Resource> = slice
            .resources()
            .iter()
            .map(|(_, resource)| &**resource)
            .collect();
        let plain = Zeroizing::new(serde_json::to_vec(&resources)?);
        let sealed = self
            .key
            .seal(&purpose(slice.digest()), &plain)
            .map_err(io::Error::other)?;
        disk::write(&self.spare(), &sealed, 0o600)?;
        fs::rename(self.spare(), &path)?;
        Ok(path)
    }

    /// A slice that is not needed any more, which the next is written over, or
    /// one that is not whole.
    fn spare(&self) -> PathBuf {
        self.folder.join("spare")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads a slice back; it is what was written, or an error.
    pub(crate) fn read(&self, digest: Digest) -> io::Result<Slice> {
        let damaged = |_| io::Error::from(io::ErrorKind::InvalidData);
        let sealed = fs::read(self.path(digest))?;
        let plain = self
            .key
            .open(&purpose(digest), &sealed)
            .map_err(io::Error::other)?;
        let resources: Vec<Resource> = serde_json::from_slice(&plain).map_err(damaged)?;
        let slice = Slice::new(ResourceSet::from_iter(resources));
        if slice.digest() == digest {
            Ok(slice)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    /// Takes away all slices but `kept`.
    pub(crate) fn keep(&self, kept: &BTreeSet<Digest>) -> io::Result<()> {
        let kept: BTreeSet<String> = kept.iter().map(ToString::to_string).collect();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !kept.contains(&*entry.file_name().to_string_lossy()) {
                fs::rename(entry.path(), self.spare())?;
            }
        }
        Ok(())
    }
}

fn purpose(digest: Digest) -> String {
    format!("slice {digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> SliceStore {
        SliceStore::new(folder.to_owned(), AtRestKey::new([1; 32]))
    }

    fn slice() -> Slice {
        let text = r#"
kind: Upstream
metadata: { name: shop }
spec: { servers: [{ address: "10.0.0.11:8080" }] }"#;
        let parsed = nxmesh_core::document::parse("test", text).unwrap();
        Slice::new(parsed.into_iter().map(|parsed| parsed.resource).collect())
    }

    #[test]
    fn a_slice_comes_back_as_it_was_and_unreadable_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.write(&slice()).unwrap();
        assert_eq!(store.read(slice().digest()).unwrap(), slice());
        let bytes = fs::read(store.path(slice().digest())).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"10.0.0.1"));
    }

    #[test]
    fn a_damaged_slice_is_an_error_and_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.write(&slice()).unwrap();
        fs::write(store.path(slice().digest()), b"torn").unwrap();
        assert!(store.read(slice().digest()).is_err());
        store.write(&slice()).unwrap();
        assert!(store.read(slice().digest()).is_ok());
        store.keep(&BTreeSet::new()).unwrap();
        assert!(store.read(slice().digest()).is_err());
    }
}

//! Removing what no release needs any more. Failing to only costs space.

use std::{collections::BTreeSet, fs, io, path::PathBuf, sync::Arc, time::SystemTime};

use nxmesh_core::digest::Digest;

use super::{
    ApplyOptions, Failure, Pipeline, code, disk,
    switch::{self, Entry},
};
use crate::nginx::Layout;

impl Pipeline {
    /// Keeps the running release, the one before it and some older ones.
    /// The caller does not wait; its next file work does.
    pub(super) fn collect_garbage(&self, before: Option<String>) {
        let running = self.applied.as_ref().map(|applied| applied.release.clone());
        let releases: BTreeSet<String> = running.into_iter().chain(before).collect();
        let digests: BTreeSet<Digest> = self
            .accepted
            .map(|accepted| accepted.digest)
            .into_iter()
            .chain(self.applied.as_ref().map(|applied| applied.digest))
            .collect();
        let pem_names: BTreeSet<String> = self.pem_names.iter().flatten().cloned().collect();
        let slices = self.slices.clone();
        let options = Arc::clone(&self.options);
        self.files.begin(move || {
            let collected = keep_releases(&options, &releases)
                .and_then(|()| keep_pem_files(&options.layout, &pem_names))
                .and_then(|()| slices.keep(&digests));
            if let Err(error) = collected {
                tracing::warn!(%error, "could not remove what is not needed");
            }
        });
    }

    /// Removes a release that failed, unless nginx may come to read it again,
    /// and an entry readied to lead to it.
    pub(super) async fn discard(&self, release: &str) {
        let applied = self.applied.as_ref();
        let needed = applied.is_some_and(|applied| applied.release == release);
        let name = release.to_owned();
        let removed = self.file_work(move |options| {
            let needed = needed
                || switch::read(options).is_ok_and(|entry| entry == Entry::Release(name.clone()));
            switch::cancel(options)
                .and_then(|()| match needed {
                    true => Ok(()),
                    false => disk::remove_folder(&options.layout.release(&name)),
                })
                .map_err(|error| Failure::new(code::STAGE, error.to_string()))
        });
        if let Err(failure) = removed.await {
            tracing::warn!(
                release,
                error = failure.message,
                "could not remove a failed release"
            );
        }
    }
}

fn keep_releases(options: &ApplyOptions, needed: &BTreeSet<String>) -> io::Result<()> {
    let mut others: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(options.layout.releases())? {
        let entry = entry?;
        if !needed.contains(&*entry.file_name().to_string_lossy()) {
            others.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    others.sort();
    let kept = options.kept_releases.saturating_sub(needed.len());
    let surplus = others.len().saturating_sub(kept);
    others
        .iter()
        .take(surplus)
        .try_for_each(|(_, folder)| disk::remove_folder(folder))
}

fn keep_pem_files(layout: &Layout, needed: &BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(layout.tls())? {
        let entry = entry?;
        if !needed.contains(&*entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes releases that never got their names.
pub(super) fn remove_unfinished(layout: &Layout) -> io::Result<()> {
    for entry in fs::read_dir(layout.releases())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            disk::remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

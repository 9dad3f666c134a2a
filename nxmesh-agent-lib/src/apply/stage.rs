//! Third step: a release folder of its own, complete before it gets its name,
//! synced before an entry may lead to it, and never changed after.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nxmesh_core::contract::{
    reloader::Candidate,
    renderer::{PemFile, RenderedTree},
};

use super::{
    ApplyOptions, Failure, Pipeline, check, code, disk, lay_out::lay_out, release::Place, switch,
};

/// A release that lies complete under its name.
pub(super) struct Staged {
    pub(super) place: Place,
    /// Its new files and its folders, which a power cut could still take back.
    pub(super) unsynced: Vec<PathBuf>,
}

impl Staged {
    /// The place, once all of it would survive a power cut.
    pub(super) fn synced(self) -> Result<Place, Failure> {
        disk::sync(&self.unsynced).map_err(failed(&self.place.folder))?;
        Ok(self.place)
    }
}

impl Pipeline {
    /// Writes the release, what `nginx -t` is given, and the entry that is to
    /// lead there.
    pub(super) async fn stage(
        &mut self,
        name: &str,
    ) -> Result<(Staged, Result<Candidate, Failure>), Failure> {
        let (Some(rendering), name) = (self.rendering.take(), name.to_owned()) else {
            return Err(Failure::new(code::RENDER, "the renderer gave nothing"));
        };
        let previous = self.applied.as_ref().map(|applied| applied.release.clone());
        let retired = self.retire();
        let (rendering, staged) = self
            .file_work(move |options| {
                let tree = &rendering.tree;
                let basis = Basis {
                    previous: previous.as_deref(),
                    retired: retired.as_deref(),
                };
                let staged = stage(options, tree, &name, basis);
                let staged = staged.map(|mut staged| {
                    let entry = switch::prepare(options, &staged.place.name)
                        .map_err(failed(&options.entry()));
                    let candidate = entry.and_then(|entry| {
                        staged.unsynced.push(entry);
                        check::prepare(options, &staged.place)
                    });
                    (staged, candidate)
                });
                Ok((rendering, staged))
            })
            .await?;
        self.rendering = Some(rendering);
        staged
    }

    /// The release that would be one too many with the next one.
    fn retire(&mut self) -> Option<String> {
        let enough = self.earlier.len() + 1 >= self.options.kept_releases;
        enough.then(|| self.earlier.pop_back()).flatten()
    }
}

/// Releases that make the next one cheaper. Both are synced.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Basis<'a> {
    /// Files that lie unchanged in it are linked, not written.
    pub(super) previous: Option<&'a str>,
    /// Becomes the new one: nothing reads it or goes back to it any more.
    pub(super) retired: Option<&'a str>,
}

/// Writes `tree` as a release called `name`. What lies under that name intact
/// is taken as it is; under a damaged one nothing is repaired, another name is
/// taken: nginx may be reading it.
///
/// On an error nothing is left behind.
pub(super) fn stage(
    options: &ApplyOptions,
    tree: &RenderedTree,
    name: &str,
    basis: Basis<'_>,
) -> Result<Staged, Failure> {
    write_pem_files(options, tree)?;
    let mut place = Place::new(options, name);
    let mut suffix = 0;
    while place.folder.exists() {
        let found = place.digest_on_disk().map_err(failed(&place.folder))?;
        if found == Some(tree.digest()) {
            // Whoever wrote it may have died before it was synced.
            disk::sync_file_system(&place.folder).map_err(failed(&place.folder))?;
            let unsynced = Vec::new();
            return Ok(Staged { place, unsynced });
        }
        suffix += 1;
        place = Place::new(options, &format!("{name}-{suffix}"));
    }
    let placed = place.files(tree)?;
    let files: BTreeMap<&str, &[u8]> = tree
        .files()
        .map(|(path, file)| (path, &file.contents[..]))
        .chain(placed.iter().map(|(path, text)| (&**path, &text[..])))
        .collect();
    let releases = options.layout.releases();
    let temporary = releases.join(format!(".{}.new", place.name));
    let laid_out = disk::remove_folder(&temporary).and_then(|()| {
        if let Some(retired) = basis.retired {
            // Gone, there is nothing to save.
            fs::rename(releases.join(retired), &temporary).ok();
        }
        let previous = basis.previous.map(|name| releases.join(name));
        let unsynced = lay_out(&temporary, &files, previous.as_deref())?;
        fs::rename(&temporary, &place.folder)?;
        Ok(unsynced)
    });
    match laid_out {
        Ok(unsynced) => {
            let within = unsynced.iter().map(|path| place.folder.join(path));
            let unsynced = within.chain([releases]).collect();
            Ok(Staged { place, unsynced })
        }
        Err(error) => {
            // Its own failure to go away says nothing new; the next start removes it.
            disk::remove_folder(&temporary).ok();
            Err(failed(&place.folder)(error))
        }
    }
}

/// Puts the certificates and keys of `tree` where nginx reads them.
pub(super) fn write_pem_files(options: &ApplyOptions, tree: &RenderedTree) -> Result<(), Failure> {
    let tls = options.layout.tls();
    for (name, file) in tree.pem_files() {
        let path = tls.join(name);
        write_pem(&path, name, file).map_err(failed(&path))?;
    }
    Ok(())
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |error| {
        let message = format!("could not write {}: {error}", path.display());
        Failure::new(code::STAGE, message).retryable()
    }
}

/// A name always means the same bytes, so what is there and the same stays.
fn write_pem(path: &Path, name: &str, file: &PemFile) -> io::Result<()> {
    if name.contains('/') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if is_pem_in_place(path, file) {
        return Ok(());
    }
    // After a power cut they are made again from the sealed slice.
    disk::replace_unsynced(path, file.contents.as_bytes(), pem_mode(file))
}

/// Whether `file` lies at `path` as it should.
pub(super) fn is_pem_in_place(path: &Path, file: &PemFile) -> bool {
    let length = file.contents.len() as u64;
    fs::symlink_metadata(path).is_ok_and(|it| {
        it.is_file() && it.permissions().mode() & 0o7777 == pem_mode(file) && it.len() == length
    }) && fs::read(path)
        .is_ok_and(|found| zeroize::Zeroizing::new(found).as_slice() == file.contents.as_bytes())
}

const fn pem_mode(file: &PemFile) -> u32 {
    if file.for_workers { 0o644 } else { 0o600 }
}

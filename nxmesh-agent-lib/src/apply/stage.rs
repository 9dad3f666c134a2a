//! Third step: a release folder of its own, complete and synced before it gets
//! its name, and never changed after.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nxmesh_core::{
    contract::renderer::{PemFile, RenderedTree},
    digest::Digest,
};

use super::{ApplyOptions, Failure, code, disk, release::Place};

/// Writes `tree` as a release called `name`. Files that lie unchanged in
/// `previous` are linked, not written. What lies under that name intact is
/// taken as it is; under a damaged one nothing is repaired, another name is
/// taken: nginx may be reading it.
///
/// On an error nothing is left behind.
pub(super) fn stage(
    options: &ApplyOptions,
    tree: &RenderedTree,
    name: &str,
    previous: Option<&str>,
) -> Result<Place, Failure> {
    write_pem_files(options, tree)?;
    let mut place = Place::new(options, name);
    let mut suffix = 0;
    while place.folder.exists() {
        let found = place.digest_on_disk().map_err(failed(&place.folder))?;
        if found == Some(tree.digest()) {
            return Ok(place);
        }
        suffix += 1;
        place = Place::new(options, &format!("{name}-{suffix}"));
    }
    let placed = place.files(tree)?;
    let files: BTreeMap<&str, (&[u8], Option<Digest>)> = tree
        .files()
        .map(|(path, file)| (path, (&file.contents[..], Some(file.digest))))
        .chain(
            placed
                .iter()
                .map(|(path, contents)| (&**path, (&contents[..], None))),
        )
        .collect();
    let temporary = options
        .layout
        .releases()
        .join(format!(".{}.new", place.name));
    let previous = previous.map(|name| options.layout.release(name));
    let written = disk::remove_folder(&temporary)
        .and_then(|()| write_all(&temporary, &files, previous.as_deref()))
        .and_then(|()| fs::rename(&temporary, &place.folder))
        .and_then(|()| disk::sync_folder(&options.layout.releases()));
    if let Err(error) = written {
        // Its own failure to go away says nothing new; the next start removes it.
        disk::remove_folder(&temporary).ok();
        return Err(failed(&place.folder)(error));
    }
    Ok(place)
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

fn write_all(
    folder: &Path,
    files: &BTreeMap<&str, (&[u8], Option<Digest>)>,
    previous: Option<&Path>,
) -> io::Result<()> {
    let mut folders = BTreeSet::from([folder.to_owned()]);
    let mut written = Vec::new();
    disk::make_folder(folder, 0o700)?;
    for (&path, &(contents, digest)) in files {
        let target = below(folder, path)?;
        for parent in target.ancestors().skip(1).take_while(|it| *it != folder) {
            if folders.insert(parent.to_owned()) {
                disk::make_folder(parent, 0o700)?;
            }
        }
        let linked = match (previous, digest) {
            (Some(previous), Some(digest)) => link(&below(previous, path)?, &target, digest),
            _ => false,
        };
        if !linked {
            disk::write_new(&target, contents, 0o600)?;
            written.push(target);
        }
    }
    written.extend(folders);
    disk::sync(&written)
}

/// Links a file of an earlier release if it still holds what it should.
fn link(from: &Path, to: &Path, digest: Digest) -> bool {
    let plain = fs::symlink_metadata(from)
        .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o7777 == 0o600);
    plain
        && fs::read(from).is_ok_and(|contents| Digest::of(&contents) == digest)
        // A file has a limited number of names; then it is written anew.
        && fs::hard_link(from, to).is_ok()
}

/// Trees promise plain relative paths; a renderer that breaks the promise
/// must not write elsewhere.
fn below(folder: &Path, path: &str) -> io::Result<PathBuf> {
    let plain = path.split('/').all(|part| {
        !matches!(part, "" | "." | "..")
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    });
    if plain {
        Ok(folder.join(path))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{path:?} is not a path within a release"),
        ))
    }
}

/// A name always means the same bytes, so what is there and the same stays.
fn write_pem(path: &Path, name: &str, file: &PemFile) -> io::Result<()> {
    if name.contains('/') {
        return below(path, "").map(drop);
    }
    let same = fs::symlink_metadata(path)
        .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o7777 == 0o600)
        && fs::read(path).is_ok_and(|found| {
            zeroize::Zeroizing::new(found).as_slice() == file.contents.as_bytes()
        });
    if same {
        return Ok(());
    }
    // After a power cut they are made again from the sealed slice.
    disk::replace_unsynced(path, file.contents.as_bytes(), 0o600)
}

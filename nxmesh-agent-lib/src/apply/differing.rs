//! How the folder of a release differs from what was written.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use nxmesh_core::contract::renderer::RenderedTree;

use super::{lay_out::MODE, release::Place};

/// What is otherwise in the folder of a release.
#[derive(Debug, Default)]
pub(super) struct Differing {
    /// The files that say something else, and what they should say.
    pub(super) changed: BTreeMap<String, Vec<u8>>,
    /// The files that are gone, and what they should say.
    pub(super) missing: BTreeMap<String, Vec<u8>>,
    /// What was not written; a folder stands for all in it.
    pub(super) foreign: Vec<PathBuf>,
}

impl Differing {
    pub(super) fn of(place: &Place, tree: &RenderedTree) -> io::Result<Self> {
        let placed = place
            .files(tree)
            .map_err(|failure| io::Error::other(failure.message))?;
        let mut expected: BTreeMap<PathBuf, &[u8]> = tree
            .files()
            .map(|(path, file)| (path.into(), &file.contents[..]))
            .chain(placed.iter().map(|(path, text)| (path.into(), &text[..])))
            .collect();
        let mut differing = Self::default();
        match fs::symlink_metadata(&place.folder) {
            Ok(folder) if folder.is_dir() => {
                differing.look(&place.folder, Path::new(""), &mut expected)?;
            }
            Ok(_) => differing.foreign.push(PathBuf::new()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        for (path, contents) in expected {
            let path = path.to_string_lossy().into_owned();
            differing.missing.insert(path, contents.to_owned());
        }
        Ok(differing)
    }

    /// Takes what is found off `expected`.
    fn look(
        &mut self,
        folder: &Path,
        within: &Path,
        expected: &mut BTreeMap<PathBuf, &[u8]>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(folder.join(within))? {
            let entry = entry?;
            let path = within.join(entry.file_name());
            let kind = entry.file_type()?;
            let holds_ours = || {
                let mut within = expected.range(path.clone()..);
                within
                    .next()
                    .is_some_and(|(first, _)| first.starts_with(&path))
            };
            if kind.is_dir() && !expected.contains_key(&path) && holds_ours() {
                self.look(folder, &path, expected)?;
            } else if kind.is_file()
                && let Some(contents) = expected.remove(&path)
            {
                if !holds(&entry.path(), contents)? {
                    let path = path.to_string_lossy().into_owned();
                    self.changed.insert(path, contents.to_owned());
                }
            } else {
                // What should lie there is then missing.
                self.foreign.push(path);
            }
        }
        Ok(())
    }
}

/// The mode of a file, if it is not that it was written with.
pub(super) fn other_mode(path: &Path) -> Option<u32> {
    let mode = fs::symlink_metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode != MODE).then_some(mode)
}

fn holds(path: &Path, contents: &[u8]) -> io::Result<bool> {
    let length = fs::symlink_metadata(path)?.len();
    if length != contents.len() as u64 || other_mode(path).is_some() {
        return Ok(false);
    }
    let opened = File::options()
        .read(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path);
    let file = match opened {
        // It is somebody else's by now.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        opened => opened?,
    };
    let mut found = Vec::with_capacity(contents.len());
    file.take(contents.len() as u64 + 1)
        .read_to_end(&mut found)?;
    Ok(found == contents)
}

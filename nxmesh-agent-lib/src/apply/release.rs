//! Releases on disk: trees as they lie there, not as they should.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nxmesh_core::{
    contract::renderer::{RenderSettings, RenderedTree},
    digest::Digest,
};
use nxmesh_render::placement::{self, FullOptions, PLACED_FILES, Placement, PlacementMode};

use super::{ApplyOptions, Failure, Mode, code, lay_out::MODE};

/// What is written beside a tree; its names are no tree's.
pub(super) type Placed = std::collections::BTreeMap<String, Vec<u8>>;

/// The paths of one release.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    socket: PathBuf,
    mode: Mode,
    settings: RenderSettings,
}

impl Place {
    pub(super) fn new(options: &ApplyOptions, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: options.layout.release(name),
            socket: options.layout.probe_socket(),
            mode: options.mode.clone(),
            settings: options.render.clone(),
        }
    }

    fn placement(&self) -> Placement<'_> {
        Placement {
            release_dir: &self.folder,
            release_id: &self.name,
            probe_socket: &self.socket,
            mode: match &self.mode {
                Mode::Include { .. } => PlacementMode::Include,
                Mode::Full(options) => PlacementMode::Full(options),
            },
            settings: &self.settings,
        }
    }

    /// The files that stand beside those of `tree` in this place.
    pub(super) fn files(&self, tree: &RenderedTree) -> Result<Placed, Failure> {
        placement::place(tree, &self.placement())
            .map_err(|error| Failure::new(code::STAGE, error.to_string()))
    }

    /// The whole configuration of an nginx with these options that would serve
    /// what lies here.
    pub(super) fn main_conf(&self, options: &FullOptions) -> Result<Vec<u8>, Failure> {
        placement::main(&self.placement(), options)
            .map_err(|error| Failure::new(code::STAGE, error.to_string()))
    }

    /// The contents of the entry file that leads here.
    pub(super) fn entry(&self) -> String {
        placement::entry(&self.placement())
    }

    /// The digest of the tree that lies here; `None` if any file is not as it
    /// was written, missing or too many.
    pub(super) fn digest_on_disk(&self) -> io::Result<Option<Digest>> {
        let mut found = RenderedTree::default();
        if !collect(&self.folder, "", &mut found)? {
            return Ok(None);
        }
        let beside: Vec<_> = PLACED_FILES.map(|name| found.remove(name)).into();
        let Ok(expected) = self.files(&found) else {
            return Ok(None);
        };
        let intact = PLACED_FILES.iter().zip(&beside).all(|(name, file)| {
            file.as_ref().map(|file| &file.contents[..]) == expected.get(*name).map(Vec::as_slice)
        });
        Ok(intact.then(|| found.digest()))
    }
}

/// Far more than any file of a release has; a larger one is not read.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Reads every file below `folder`; `false` if there is anything but files of
/// the mode they are written with, and folders, or no folder.
fn collect(folder: &Path, prefix: &str, tree: &mut RenderedTree) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            return Ok(false);
        };
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !collect(&entry.path(), &format!("{path}/"), tree)? {
                return Ok(false);
            }
            continue;
        }
        let metadata = entry.metadata()?;
        let is_ours = kind.is_file() && metadata.permissions().mode() & 0o7777 == MODE;
        if !is_ours || metadata.len() > MAX_FILE_BYTES {
            return Ok(false);
        }
        match fs::read(entry.path()) {
            // It is somebody else's by now.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
            contents => tree.insert(path, contents?, None),
        };
    }
    Ok(true)
}

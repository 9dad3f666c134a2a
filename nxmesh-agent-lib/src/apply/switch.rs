//! Fifth step: the one rename that moves nginx's next parse to another release.

use std::{fs, io, path::PathBuf};

use super::{ApplyOptions, Mode, disk, release::Place};

/// What an entry file says before the first release.
pub(super) const NOTHING: &str = "# No release yet.\n";

/// Where the entry file leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// There is no entry file.
    Missing,
    /// To no release.
    Nothing,
    /// To this release.
    Release(String),
    /// Somebody else wrote it.
    Foreign,
}

/// Reads where the entry file leads. Only what we would write ourselves counts.
pub(super) fn read(options: &ApplyOptions) -> io::Result<Entry> {
    let text = match fs::read_to_string(options.entry()) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entry::Missing),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Entry::Foreign),
        Err(error) => return Err(error),
    };
    if text == NOTHING {
        return Ok(Entry::Nothing);
    }
    let releases = match fs::read_dir(options.layout.releases()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entry::Foreign),
        entries => entries?,
    };
    for release in releases {
        if let Ok(name) = release?.file_name().into_string()
            && Place::new(options, &name).entry() == text
        {
            return Ok(Entry::Release(name));
        }
    }
    Ok(Entry::Foreign)
}

/// Leads the entry file to `release`, or to none, and makes that survive a
/// power cut.
pub(super) fn write(options: &ApplyOptions, release: Option<&str>) -> io::Result<()> {
    disk::replace(&options.entry(), text(options, release)?.as_bytes(), MODE)
}

/// Readies an entry file that leads to `release`, and returns what has to be
/// synced before the [switch](now).
pub(super) fn prepare(options: &ApplyOptions, release: &str) -> io::Result<PathBuf> {
    let text = text(options, Some(release))?;
    disk::prepare(&options.entry(), text.as_bytes(), MODE)
}

/// Switches to what was prepared. The rename itself is not synced: a power cut
/// may take it back, to the release before, as long as nothing is recorded as
/// applied. The record lies in the same folder, whose sync makes both last.
pub(super) fn now(options: &ApplyOptions) -> io::Result<()> {
    disk::put(&options.entry())
}

/// Forgets what was prepared.
pub(super) fn cancel(options: &ApplyOptions) -> io::Result<()> {
    disk::withdraw(&options.entry())
}

/// Readable by whoever may read the folder: it holds one path.
pub(super) const MODE: u32 = 0o644;

fn text(options: &ApplyOptions, release: Option<&str>) -> io::Result<String> {
    match (release, &options.mode) {
        (Some(name), _) => Ok(Place::new(options, name).entry()),
        (None, Mode::Include { .. }) => Ok(NOTHING.to_owned()),
        (None, Mode::Full(_)) => {
            let message = "an nginx.conf of ours always leads to a release";
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

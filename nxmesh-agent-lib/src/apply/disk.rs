//! Writing files so that a power cut leaves the old one or the new one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
};

/// Replaces `path` as a whole: temporary file beside it, fsync, rename, fsync
/// of the folder. On an error the file is as it was.
pub(crate) fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    replace_after(path, contents, mode, File::sync_all)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// As [`replace`], for what may be lost or torn in a power cut: a crash of
/// this process still leaves the old file or the new one.
pub(crate) fn replace_unsynced(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    replace_after(path, contents, mode, |_| Ok(()))
}

fn replace_after(
    path: &Path,
    contents: &[u8],
    mode: u32,
    sync: fn(&File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = beside(path);
    let result = write_new(&temporary, contents, mode)
        .and_then(|file| sync(&file))
        .and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        remove_file(&temporary)?;
    }
    result
}

/// Writes a new file; nothing is synced.
pub(crate) fn write_new(path: &Path, contents: &[u8], mode: u32) -> io::Result<File> {
    // What a crash left under this name is not ours to append to.
    remove_file(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    // The mode at creation is cut by the umask.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(contents)?;
    Ok(file)
}

/// Makes files and folders of one file system survive a power cut. One by one
/// that costs a flush of the disk each, so a few are synced at the same time
/// and many as a whole file system.
pub(crate) fn sync(paths: &[PathBuf]) -> io::Result<()> {
    const FEW: usize = 32;
    const AT_A_TIME: usize = 4;
    let sync_each = |paths: &[PathBuf]| paths.iter().try_for_each(|it| File::open(it)?.sync_all());
    match paths {
        [] => Ok(()),
        [first, ..] if paths.len() > FEW => {
            nix::unistd::syncfs(File::open(first)?).map_err(io::Error::from)
        }
        _ => thread::scope(|scope| {
            let parts: Vec<_> = paths
                .chunks(paths.len().div_ceil(AT_A_TIME))
                .map(|part| scope.spawn(move || sync_each(part)))
                .collect();
            parts.into_iter().try_for_each(|part| {
                part.join()
                    .unwrap_or_else(|_| Err(io::Error::other("a thread that synced files died")))
            })
        }),
    }
}

/// Makes a folder, and those above it, with `mode`; sets the mode of one that
/// exists.
pub(crate) fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)?;
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    if metadata.permissions().mode() & 0o7777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Makes the names in a folder survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file that may be gone already.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a folder and what is in it; it may be gone already.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// As [`replace`], with JSON only the owner may read.
pub(crate) fn replace_json(path: &Path, value: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    replace(path, &text, 0o600)
}

/// Reads JSON; `None` if the file is missing, an error if it is damaged.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

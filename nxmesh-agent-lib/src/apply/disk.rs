//! Writing files so that a power cut leaves the old one or the new one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use nxmesh_core::digest::Digest;

/// Replaces `path` as a whole: temporary file beside it, fsync, rename, fsync
/// of the folder. On an error the file is as it was.
pub(crate) fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let prepared = prepare(path, contents, mode)?;
    or_withdraw(path, sync_one(&prepared))?;
    put(path)?;
    path.parent().map_or(Ok(()), sync_one)
}

/// As [`replace`], for what may be lost or torn in a power cut: a crash of
/// this process still leaves the old file or the new one.
pub(crate) fn replace_unsynced(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    prepare(path, contents, mode)?;
    put(path)
}

/// Writes what is to replace `path` beside it, and returns where. Not synced:
/// that is to be done before it is [put] in its place.
pub(crate) fn prepare(path: &Path, contents: &[u8], mode: u32) -> io::Result<PathBuf> {
    let prepared = beside(path);
    or_withdraw(path, write(&prepared, contents, mode))?;
    Ok(prepared)
}

/// Puts what was prepared in the place of `path`. The new name is not synced.
pub(crate) fn put(path: &Path) -> io::Result<()> {
    or_withdraw(path, fs::rename(beside(path), path))
}

/// Removes what was prepared to replace `path` and is not wanted any more.
pub(crate) fn withdraw(path: &Path) -> io::Result<()> {
    remove_file(&beside(path))
}

fn or_withdraw<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    if result.is_err() {
        // Its own failure to go away says nothing new.
        withdraw(path).ok();
    }
    result
}

/// Takes away a file that may be gone already, and leaves it where the next is
/// prepared: to write over it costs less than to make a new one.
pub(crate) fn take_away(path: &Path) -> io::Result<()> {
    // A disk that is read-only refuses also what there is nothing to do for.
    if !path.try_exists()? {
        return Ok(());
    }
    unless_gone(fs::rename(path, beside(path)))
}

/// Writes a file, over what lies there: never for one that is in use. Nothing
/// is synced.
pub(crate) fn write(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(mode)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    let before = file.metadata()?;
    // The mode at creation is cut by the umask.
    if before.permissions().mode() & 0o7777 != mode {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    file.write_all(contents)?;
    let length = contents.len() as u64;
    if before.len() > length {
        file.set_len(length)?;
    }
    Ok(())
}

/// Makes files, and the names in folders, of one file system survive a power
/// cut. Many are synced together with whatever else waits to be written there:
/// one by one, each costs a flush of the disk.
pub(crate) fn sync(paths: &[PathBuf]) -> io::Result<()> {
    const FEW: usize = 32;
    match paths {
        [first, ..] if paths.len() > FEW => sync_file_system(first),
        _ => paths.iter().try_for_each(|path| sync_one(path)),
    }
}

/// Of a file only what it takes to read it back: that it was written over costs
/// a journal nothing.
fn sync_one(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        file.sync_all()
    } else {
        file.sync_data()
    }
}

/// Makes everything on the file system of `path` survive a power cut.
pub(crate) fn sync_file_system(path: &Path) -> io::Result<()> {
    nix::unistd::syncfs(File::open(path)?).map_err(io::Error::from)
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

/// Removes a file that may be gone already.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    unless_gone(fs::remove_file(path))
}

/// Removes a folder and what is in it; it may be gone already.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    unless_gone(fs::remove_dir_all(path))
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
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
    replace(path, &json(value)?, 0o600)
}

/// As [`prepare`], with JSON only the owner may read.
pub(crate) fn prepare_json(path: &Path, value: &impl serde::Serialize) -> io::Result<PathBuf> {
    prepare(path, &json(value)?, 0o600)
}

/// A line of JSON, and the digest of it in a second one: a digit that turned
/// into another makes no other version.
pub(crate) fn json(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(value)?;
    let digest = Digest::of(&text);
    writeln!(text, "\n{digest}")?;
    Ok(text)
}

/// Reads JSON; `None` if the file is missing, an error that [is
/// damage](is_damage) if it is not as it was written. A line without a second
/// one is taken as it is.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let Some(end) = text.iter().position(|byte| *byte == b'\n') else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let (json, digest) = (&text[..end], text[end..].trim_ascii());
    if !digest.is_empty() && digest != Digest::of(json).to_string().as_bytes() {
        let message = "it is not what its digest was made of";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(Some(serde_json::from_slice(json)?))
}

/// Whether what was written is lost, and not only out of reach.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    let unreadable = error.raw_os_error() == Some(nix::errno::Errno::EIO as i32);
    unreadable || matches!(error.kind(), InvalidData | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_to_a_record_it_says_what_was_written_or_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let written = vec![12, 345];
        replace_json(&path, &written).unwrap();
        let whole = fs::read(&path).unwrap();
        let says_it_or_is_damaged = |text: &[u8]| {
            fs::write(&path, text).unwrap();
            match read_json::<Vec<u32>>(&path) {
                Ok(read) => assert_eq!(read.as_ref(), Some(&written), "{text:?}"),
                Err(error) => assert!(is_damage(&error), "{error:?}"),
            }
        };
        for index in 0..whole.len() {
            says_it_or_is_damaged(&whole[..index]);
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[index] ^= 1 << bit;
                says_it_or_is_damaged(&damaged);
            }
        }
        // As it was written before there was a digest.
        fs::write(&path, "[12,345]\n").unwrap();
        assert_eq!(read_json(&path).unwrap(), Some(written));
        fs::remove_file(&path).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), None);
    }
}

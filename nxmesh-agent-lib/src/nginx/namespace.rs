//! Processes that see other files: nginx in another container that shares the
//! process ids of this one, or in a service with a private view.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The files a process sees, as a path (proc(5), `/proc/pid/root`). Whoever
/// looks there needs the rights of a debugger of that process.
pub(crate) fn root_of(pid: u32) -> PathBuf {
    format!("/proc/{pid}/root").into()
}

/// Whether the process sees, under the name of `file`, the very folder or file
/// that this one does; `None` where both see the same files anyway, or where
/// that cannot be found out.
pub(crate) fn shares_folder_of(pid: u32, file: &Path) -> Option<bool> {
    if sees_the_same_files(pid).ok()? {
        return None;
    }
    let folder = file.parent()?;
    Some(same(pid, folder).ok()? || same(pid, file).unwrap_or(false))
}

/// Whether `path` is the same file or folder for the process as for this one.
pub(crate) fn same(pid: u32, path: &Path) -> io::Result<bool> {
    let there = root_of(pid).join(path.strip_prefix("/").unwrap_or(path));
    let there = match fs::metadata(there) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let here = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    Ok((here.dev(), here.ino()) == (there.dev(), there.ino()))
}

/// Whether the process lives in the mount namespace of this one and under the
/// same root.
pub(crate) fn sees_the_same_files(pid: u32) -> io::Result<bool> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt"));
    Ok(namespace(&pid.to_string())? == namespace("self")? && same(pid, Path::new("/"))?)
}

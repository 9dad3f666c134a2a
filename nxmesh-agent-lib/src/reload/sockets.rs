//! Unix sockets that an nginx left behind.
//!
//! nginx removes its unix sockets only when its master ends in order. What a
//! killed master leaves is either dead, and would make the next start fail with
//! "address already in use", or still served by orphaned workers.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    os::unix::fs::FileTypeExt as _,
    path::Path,
    time::Duration,
};

use tokio::{net::UnixStream, time::timeout};

/// A stopped nginx with a full backlog keeps whoever connects waiting.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether something listens at `path`.
pub(super) async fn is_served(path: &Path) -> bool {
    let connected = timeout(PATIENCE, UnixStream::connect(path)).await;
    connected.is_ok_and(|connected| connected.is_ok())
}

/// Removes the socket at `path` if nobody serves it; anything else that lies
/// there stays.
pub(super) async fn remove_dead(path: &Path) -> io::Result<()> {
    let is_socket = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type().is_socket(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let connected = timeout(PATIENCE, UnixStream::connect(path)).await;
    let refused = connected.is_ok_and(|connected| {
        connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    if is_socket && refused {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// The processes that hold the listening socket at `path`, as far as this
/// process may look.
pub(super) fn holders(path: &Path) -> BTreeSet<u32> {
    let Some(wanted) = inode(path).map(|inode| format!("socket:[{inode}]")) else {
        return BTreeSet::new();
    };
    let holds = |pid: &u32| {
        fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == &*wanted))
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(holds)
        .collect()
}

/// The listening socket bound to `path`, from `/proc/net/unix` (proc_net(5)).
fn inode(path: &Path) -> Option<u64> {
    /// `__SO_ACCEPTCON` of the kernel: the socket listens.
    const LISTENS: &str = "00010000";
    let table = fs::read_to_string("/proc/net/unix").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let flags = fields.nth(3)?;
        let inode = fields.nth(2)?;
        let bound = fields.next()?;
        (flags == LISTENS && Path::new(bound) == path).then(|| inode.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[tokio::test]
    async fn only_dead_sockets_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (served, dead, file) = (
            folder.path().join("served"),
            folder.path().join("dead"),
            folder.path().join("file"),
        );
        let listener = UnixListener::bind(&served).unwrap();
        drop(UnixListener::bind(&dead).unwrap());
        fs::write(&file, "").unwrap();
        for path in [&served, &dead, &file, &folder.path().join("nothing")] {
            remove_dead(path).await.unwrap();
        }
        assert!(served.exists() && file.exists() && !dead.exists());
        assert!(is_served(&served).await);
        assert_eq!(holders(&served), [std::process::id()].into());
        drop(listener);
        assert!(!is_served(&served).await);
    }
}

//! Hears from the kernel when somebody changes files (inotify(7)).

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
};

use inotify::{Event, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio_stream::StreamExt as _;

/// More folders are not watched: what changes there is found by the digests.
const MAX_FOLDERS: usize = 64;
/// Room for some events; what does not fit waits in the kernel.
const BUFFER_BYTES: usize = 4096;

/// Watches folders for files that come, go or are written. It is only a hint: a
/// file that stays open while it is written is not told of, and the kernel may
/// have no watch to give.
pub(crate) struct FileWatch {
    events: EventStream<[u8; BUFFER_BYTES]>,
    /// The folder of which only one file counts, and that file.
    beside: (WatchDescriptor, OsString),
}

impl std::fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWatch")
            .field("beside", &self.beside)
            .finish_non_exhaustive()
    }
}

impl FileWatch {
    /// Watches `folders`, each by itself, and the file `entry` in a folder of
    /// which the rest does not matter. What changed before is not told.
    pub(crate) fn new(folders: &[PathBuf], entry: &Path) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MOVE
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR
            | WatchMask::DONT_FOLLOW;
        let parent = entry.parent().unwrap_or(Path::new("/"));
        let name = entry.file_name().unwrap_or_default().to_owned();
        let beside = (inotify.watches().add(parent, mask)?, name);
        for folder in folders.iter().take(MAX_FOLDERS) {
            match inotify.watches().add(folder, mask) {
                // It went a moment ago, which is found by whoever looks next.
                Err(error) if is_gone(&error) => {}
                added => drop(added?),
            }
        }
        let events = inotify.into_event_stream([0; BUFFER_BYTES])?;
        Ok(Self { events, beside })
    }

    /// Waits until something changed. Events that the kernel dropped, as there
    /// were too many, count too.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has lost nothing.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        loop {
            match self.events.next().await {
                Some(Ok(event)) if counts(&self.beside, &event) => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn counts((folder, entry): &(WatchDescriptor, OsString), event: &Event<OsString>) -> bool {
    let name = event.name.as_deref();
    event.wd != *folder || name.is_none_or(|name: &OsStr| name == entry)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    async fn is_told(watch: &mut FileWatch) -> bool {
        let told = tokio::time::timeout(Duration::from_millis(200), watch.changed());
        told.await.is_ok_and(|told| told.is_ok())
    }

    #[tokio::test]
    async fn what_comes_goes_or_is_written_is_told_and_other_neighbours_are_not() {
        let root = tempfile::tempdir().unwrap();
        let (folder, entry) = (root.path().join("release"), root.path().join("entry"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a"), "a").unwrap();
        let mut watch =
            FileWatch::new(&[folder.clone(), root.path().join("gone")], &entry).unwrap();
        assert!(!is_told(&mut watch).await);
        let file = |name: &str| folder.join(name);
        let changes: [&dyn Fn(); 6] = [
            &|| fs::write(file("a"), "b").unwrap(),
            &|| fs::write(file("b"), "b").unwrap(),
            &|| fs::rename(file("b"), root.path().join("elsewhere")).unwrap(),
            &|| fs::remove_file(file("a")).unwrap(),
            &|| fs::write(&entry, "").unwrap(),
            &|| fs::rename(root.path().join("elsewhere"), &entry).unwrap(),
        ];
        for (number, change) in changes.iter().enumerate() {
            change();
            assert!(is_told(&mut watch).await, "{number}");
            while is_told(&mut watch).await {}
        }
        fs::write(root.path().join("neighbour"), "x").unwrap();
        assert!(!is_told(&mut watch).await);
        fs::remove_dir(&folder).unwrap();
        assert!(is_told(&mut watch).await);
    }

    #[tokio::test]
    async fn too_many_changes_are_told_as_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("release");
        fs::create_dir(&folder).unwrap();
        let mut watch =
            FileWatch::new(std::slice::from_ref(&folder), &root.path().join("e")).unwrap();
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        for number in 0..limit.min(40_000) {
            let name = folder.join(number.to_string());
            fs::write(&name, "").unwrap();
            fs::remove_file(name).unwrap();
        }
        assert!(is_told(&mut watch).await);
    }
}

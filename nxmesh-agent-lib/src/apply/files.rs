//! File work of one pipeline: off the runtime's threads, one piece at a time.

use std::{
    fs::{File, TryLockError},
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{PipelineError, disk};
use crate::nginx::Layout;

/// How long the one before gets to let go of the lock.
const HANDOVER: Duration = Duration::from_secs(2);

/// The right to write below a state folder. A piece of work that was begun
/// goes on when nobody waits for it any more, and the next waits for it.
#[derive(Debug, Clone)]
pub(super) struct Files(Arc<Held>);

#[derive(Debug)]
struct Held {
    _lock: File,
    turn: Arc<Mutex<()>>,
}

impl Files {
    /// Makes the folders and takes the lock. Blocks.
    pub(super) fn open(layout: &Layout) -> Result<Self, PipelineError> {
        // These may be folders of the system's: their mode stays if they
        // exist. Workers of another user pass through the second and the third.
        for (folder, mode) in [
            (layout.state_dir(), 0o700),
            (layout.runtime_dir(), 0o711),
            (layout.cache(), 0o711),
        ] {
            if !folder.is_dir() {
                disk::make_folder(folder, mode).map_err(PipelineError::io("make", folder))?;
            }
        }
        for folder in [
            layout.slices(),
            layout.releases(),
            layout.check(),
            layout.probe(),
        ] {
            disk::make_folder(&folder, 0o700).map_err(PipelineError::io("make", &folder))?;
        }
        // Workers read some files of it, by names that nobody can guess or list.
        let tls = layout.tls();
        disk::make_folder(&tls, 0o711).map_err(PipelineError::io("make", &tls))?;
        let path = layout.lock();
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .or_else(|error| match error.kind() {
                // The nginx that serves from such a disk needs looking after too.
                io::ErrorKind::ReadOnlyFilesystem => File::open(&path),
                _ => Err(error),
            })
            .map_err(PipelineError::io("open", &path))?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                // Work that was begun may outlive the pipeline for a moment.
                Err(TryLockError::WouldBlock) if begun.elapsed() < HANDOVER => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => return Err(PipelineError::Locked { path }),
                Err(TryLockError::Error(error)) => {
                    return Err(PipelineError::io("lock", &path)(error));
                }
            }
        }
        Ok(Self(Arc::new(Held {
            _lock: lock,
            turn: Arc::default(),
        })))
    }

    /// Begins `work`, for which nobody has to wait; what is run later comes
    /// after it. Not done if other work is still under way.
    pub(super) fn begin(&self, work: impl FnOnce() + Send + 'static) {
        let Ok(turn) = Arc::clone(&self.0.turn).try_lock_owned() else {
            return;
        };
        let held = Arc::clone(&self.0);
        // The handle would only tell of a panic, which the runtime reports.
        drop(tokio::task::spawn_blocking(move || {
            work();
            drop((turn, held));
        }));
    }

    /// Runs `work` where it may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let held = Arc::clone(&self.0);
        let turn = Arc::clone(&held.turn).lock_owned().await;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, held));
            done
        })
        .await
        .map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_run_later_comes_after_what_was_begun() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("s"), folder.path().join("r"));
        let files = Files::open(&layout).unwrap();
        for _ in 0..50 {
            let order = Arc::new(std::sync::Mutex::new(Vec::new()));
            let begun = Arc::clone(&order);
            files.begin(move || {
                thread::sleep(Duration::from_millis(2));
                begun.lock().unwrap().push("begun");
            });
            let run = Arc::clone(&order);
            files
                .run(move || run.lock().unwrap().push("run"))
                .await
                .unwrap();
            assert_eq!(*order.lock().unwrap(), ["begun", "run"]);
        }
    }
}

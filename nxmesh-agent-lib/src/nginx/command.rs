//! Running the nginx binary for an answer: bounded in time and output.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, killpg},
    unistd::{Pid, chroot},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::unix::pipe,
    process::{Child, Command},
};

/// More of what nginx says is thrown away.
const OUTPUT_LIMIT: u64 = 64 << 10;

/// nginx takes its environment's room for its process titles, so it has to
/// have one; a variable called `NGINX` would make it look for inherited
/// sockets, so it does not get ours.
pub(crate) const ENVIRONMENT: (&str, &str) = (
    "PATH",
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
);

/// How the binary ended and what it said on standard error.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

/// A command with a clean environment, in its own process group.
pub(crate) fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env(ENVIRONMENT.0, ENVIRONMENT.1)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0);
    command
}

/// Runs `command` to its end, among the files below `root` if one is given;
/// its process group is killed at the deadline, or when this future is dropped.
pub(crate) async fn run_in(
    root: Option<PathBuf>,
    mut command: Command,
    deadline: Duration,
) -> io::Result<Finished> {
    command.stderr(Stdio::piped());
    let mut child = match root {
        Some(root) => spawn_in(root, command)?,
        None => command.spawn()?,
    };
    let group = Group::of(&child);
    let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let finished = tokio::time::timeout(deadline, async {
        let said = read_bounded(stderr).await?;
        Ok(Finished {
            status: child.wait().await?,
            stderr: said,
        })
    })
    .await
    .unwrap_or_else(|_| Err(late(deadline)));
    if finished.is_ok() {
        group.release();
    }
    finished
}

/// As [`run_in`], with standard output beside standard error. Does not wait for
/// processes that the command leaves behind with its output.
pub(crate) async fn run_with_output(
    mut command: Command,
    deadline: Duration,
) -> io::Result<Finished> {
    let (output, input) = io::pipe()?;
    command.stdout(input.try_clone()?).stderr(input);
    let mut child = command.spawn()?;
    // Else the pipe has a writer for as long as this lasts.
    drop(command);
    let group = Group::of(&child);
    let mut output = pipe::Receiver::from_owned_fd(output.into())?;
    let finished = tokio::time::timeout(deadline, async {
        let mut kept = Vec::new();
        let mut chunk = [0; 4096];
        let mut keep = |said: &[u8]| {
            let room = (OUTPUT_LIMIT as usize).saturating_sub(kept.len());
            kept.extend_from_slice(&said[..said.len().min(room)]);
        };
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                read = output.read(&mut chunk) => match read? {
                    0 => break child.wait().await?,
                    length => keep(&chunk[..length]),
                },
            }
        };
        while let Ok(length @ 1..) = output.try_read(&mut chunk) {
            keep(&chunk[..length]);
        }
        Ok(Finished {
            status,
            stderr: String::from_utf8_lossy(&kept).into_owned(),
        })
    })
    .await
    .unwrap_or_else(|_| Err(late(deadline)));
    if finished.is_ok() {
        group.release();
    }
    finished
}

/// Runs `command` to its end with its output in a file; its process group is
/// killed at the deadline, or when it has said more than `limit` bytes.
pub(crate) async fn run_into(
    mut command: Command,
    log: File,
    limit: u64,
    deadline: Duration,
) -> io::Result<ExitStatus> {
    const LOOK: Duration = Duration::from_millis(50);
    command.stdout(log.try_clone()?).stderr(log.try_clone()?);
    let mut child = command.spawn()?;
    let group = Group::of(&child);
    let finished = tokio::time::timeout(deadline, async {
        loop {
            tokio::select! {
                status = child.wait() => return status,
                () = tokio::time::sleep(LOOK) => {}
            }
            if log.metadata()?.len() > limit {
                return Err(io::Error::other(format!("it says more than {limit} bytes")));
            }
        }
    })
    .await
    .unwrap_or_else(|_| Err(late(deadline)));
    if finished.is_ok() {
        group.release();
    }
    finished
}

fn late(deadline: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer within {deadline:?}"),
    )
}

/// A process inherits its root from the thread that starts it, so that is done
/// by one that has a root of its own, and ends.
fn spawn_in(root: PathBuf, mut command: Command) -> io::Result<Child> {
    let runtime = tokio::runtime::Handle::current();
    let spawned = std::thread::spawn(move || {
        let _context = runtime.enter();
        unshare(CloneFlags::CLONE_FS)?;
        chroot(&root).map_err(|error| {
            io::Error::new(
                io::Error::from(error).kind(),
                format!("could not enter {}: {error}", root.display()),
            )
        })?;
        command.spawn()
    });
    spawned
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread that starts it failed")))
}

async fn read_bounded(mut stream: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut kept = Vec::new();
    (&mut stream)
        .take(OUTPUT_LIMIT)
        .read_to_end(&mut kept)
        .await?;
    // A full pipe would stop nginx.
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

/// A process group that is killed when this is dropped.
struct Group(Option<i32>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()))
    }

    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already is as good as killed.
            killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
        }
    }
}

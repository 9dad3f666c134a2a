//! Running the nginx binary for an answer: bounded in time and output.

use std::{io, path::Path, process::ExitStatus, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
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

/// Runs `command` to its end; its process group is killed at the deadline, or
/// when this future is dropped.
pub(crate) async fn run(mut command: Command, deadline: Duration) -> io::Result<Finished> {
    let mut child = command.stderr(Stdio::piped()).spawn()?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()));
    let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let finished = tokio::time::timeout(deadline, async {
        let said = read_bounded(stderr).await?;
        Ok(Finished {
            status: child.wait().await?,
            stderr: said,
        })
    })
    .await
    .unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {deadline:?}"),
        ))
    });
    if finished.is_ok() {
        group.release();
    }
    finished
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

//! Tells the status to whoever may read the state folder.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::watch,
};
use tracing::warn;

use crate::{nginx::Layout, status::AgentStatus};

const NAME: &str = "agent.sock";
/// How long a client may take, and an agent.
const DEADLINE: Duration = Duration::from_secs(2);
const MAX_STATUS_BYTES: u64 = 1 << 20;
/// Between attempts to put the socket into the folder; the next is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A socket in the state folder that answers each connection with one line of JSON.
#[derive(Debug)]
struct StatusSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// Answers until dropped, as soon as the folder has room for the socket; the caller
/// holds the folder's lock.
pub(crate) async fn answer(state_dir: PathBuf, status: watch::Receiver<AgentStatus>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match StatusSocket::bind(&state_dir) {
            Ok(socket) => return socket.serve(status).await,
            Err(error) => {
                warn!(%error, ?pause, "the status cannot be asked for; tried again after a pause");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl StatusSocket {
    /// Takes the place of a socket a dead agent left.
    fn bind(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Answers one client after the other, until dropped.
    async fn serve(self, status: watch::Receiver<AgentStatus>) {
        loop {
            let Ok((mut client, _)) = self.listener.accept().await else {
                // Out of file descriptors; those pass.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let mut line = serde_json::to_vec(&*status.borrow()).unwrap_or_default();
            line.push(b'\n');
            // A client that is gone or does not read is no concern of ours.
            drop(tokio::time::timeout(DEADLINE, client.write_all(&line)).await);
        }
    }
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        // What stays behind says nothing: nobody answers there.
        drop(fs::remove_file(&self.path));
    }
}

/// Why a running agent's status is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// No agent works in the state folder.
    #[error("no agent runs on {state_dir}", state_dir = state_dir.display())]
    NotRunning {
        /// The folder.
        state_dir: PathBuf,
    },
    /// An agent works there but cannot be asked.
    #[error("the agent on {state_dir} does not answer", state_dir = state_dir.display())]
    NoAnswer {
        /// The folder.
        state_dir: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

impl AgentStatus {
    /// Asks the agent that works in `state_dir`, which must belong to the caller.
    ///
    /// # Errors
    ///
    /// [`StatusError::NotRunning`] is certain: nobody holds the folder's lock.
    pub async fn of_running(state_dir: &Path) -> Result<Self, StatusError> {
        let asked = tokio::time::timeout(DEADLINE, ask(state_dir)).await;
        let error = match asked {
            Ok(Ok(status)) => return Ok(status),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        let state_dir = state_dir.to_owned();
        if is_locked(&state_dir) {
            Err(StatusError::NoAnswer {
                state_dir,
                source: error,
            })
        } else {
            Err(StatusError::NotRunning { state_dir })
        }
    }
}

async fn ask(state_dir: &Path) -> io::Result<AgentStatus> {
    let mut agent = UnixStream::connect(state_dir.join(NAME)).await?;
    let mut line = Vec::new();
    (&mut agent)
        .take(MAX_STATUS_BYTES)
        .read_to_end(&mut line)
        .await?;
    serde_json::from_slice(&line).map_err(io::Error::other)
}

/// Whether an agent holds the lock. Unknown counts as yes.
fn is_locked(state_dir: &Path) -> bool {
    let layout = Layout::new(state_dir, state_dir);
    match fs::File::open(layout.lock()) {
        Ok(file) => file.try_lock_shared().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

//! Signals to the processes of an nginx of this machine: ending it, what a killed
//! one left behind, and what somebody has stopped.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use nxmesh_core::contract::reloader::ReloadError;
use tokio::time::sleep;

use super::{local::Local, sockets};
use crate::nginx::{
    Master,
    process::{Process, worker_of_no_master},
};

/// How often it is looked whether orphaned workers have gone.
const POLL: Duration = Duration::from_millis(10);
/// How long workers of a killed master get to close their sockets.
const ORPHANS: Duration = Duration::from_secs(2);
/// How long processes that were killed may take to be gone.
const KILLED: Duration = Duration::from_secs(1);
/// How long nginx gets to end by itself: its master kills workers that do not
/// heed after one second.
const GRACE: Duration = Duration::from_secs(3);

impl Local {
    /// Makes room for a start: what a killed nginx left behind goes. Workers
    /// that still serve go only once a start is `proven` to go through.
    pub(super) async fn clear_the_way(
        &self,
        proven: impl Future<Output = Result<(), ReloadError>>,
    ) -> Result<(), ReloadError> {
        if let Some(socket) = self.options.unix_sockets.first()
            && sockets::is_served(socket).await
            && !orphans(socket).is_empty()
        {
            proven.await?;
            self.dismiss_orphans(socket).await?;
        }
        self.remove_dead_sockets().await
    }

    /// Has workers whose master was killed finish, so that the next master gets
    /// their ports; by force if they do not heed.
    async fn dismiss_orphans(&self, socket: &Path) -> Result<(), ReloadError> {
        for (signal, patience) in [(Signal::SIGQUIT, ORPHANS), (Signal::SIGKILL, KILLED)] {
            if !sockets::is_served(socket).await {
                break;
            }
            let orphans = orphans(socket);
            for orphan in &orphans {
                let pid = orphan.pid();
                tracing::warn!(pid, %signal, "a worker of a killed nginx still serves, it is ended");
            }
            self.send(signal, &orphans)?;
            let asked = Instant::now();
            while sockets::is_served(socket).await && asked.elapsed() < patience {
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Ends `nginx` and what it has started: asks, then kills. Kills also what
    /// is stopped (SIGSTOP) or stuck in its own code.
    pub(super) async fn end(&self, nginx: &Master, deadline: Duration) -> Result<(), ReloadError> {
        let begun = Instant::now();
        let mut family = nginx.family();
        self.send(Signal::SIGTERM, &family[..1])?;
        let grace = GRACE.min(deadline / 2);
        while family.iter().any(Process::is_alive) {
            if begun.elapsed() >= deadline {
                let pids: Vec<String> = family
                    .iter()
                    .filter(|it| it.is_alive())
                    .map(|it| it.pid().to_string())
                    .collect();
                let still = format!("still there after SIGKILL: {}", pids.join(", "));
                return Err(self.failed("end nginx")(still));
            }
            if begun.elapsed() >= grace {
                // The master first, or it would put others in their places.
                if nginx.is_alive() {
                    let later = nginx.family();
                    family.retain(|it| !later.contains(it));
                    family.splice(..0, later);
                }
                self.send(Signal::SIGKILL, &family)?;
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Asks `nginx` to finish its requests and to end; whether it has when the
    /// deadline comes.
    pub(super) async fn quit(
        &self,
        nginx: &Master,
        deadline: Duration,
    ) -> Result<bool, ReloadError> {
        let begun = Instant::now();
        let family = nginx.family();
        self.send(Signal::SIGQUIT, &family[..1])?;
        while family.iter().any(Process::is_alive) {
            if begun.elapsed() >= deadline {
                return Ok(false);
            }
            sleep(POLL).await;
        }
        Ok(true)
    }

    /// Has `nginx` and what it has started go on.
    pub(super) fn resume(&self, nginx: Option<&Master>) -> Result<(), ReloadError> {
        nginx.map_or(Ok(()), |nginx| {
            let pid = nginx.pid();
            tracing::warn!(pid, "somebody has stopped nginx, it goes on");
            self.send(Signal::SIGCONT, &nginx.family())
        })
    }

    /// Signals those that are still there.
    fn send(&self, signal: Signal, to: &[Process]) -> Result<(), ReloadError> {
        for process in to {
            match process.signal(signal) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                sent => sent.map_err(self.failed("signal a process of nginx"))?,
            }
        }
        Ok(())
    }
}

/// The workers of a killed master that listen at `socket`.
fn orphans(socket: &Path) -> Vec<Process> {
    let holders = sockets::holders(socket).into_iter();
    holders.filter_map(worker_of_no_master).collect()
}

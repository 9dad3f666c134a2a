//! The mechanism that checks configurations with nginx and puts them into service.

use std::{collections::BTreeSet, fmt, fs::File, io, path::PathBuf, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::BoxError;

/// A staged configuration nginx can be asked about: a file for `nginx -c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The complete configuration to test.
    pub check_conf: PathBuf,
    /// A folder of its own for `nginx -p`, so that a test leaves no pid file
    /// and no temporary folders among those of the running nginx.
    pub check_prefix: PathBuf,
}

/// One set of workers of one nginx master process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The master process.
    pub master_pid: u32,
    /// Its workers that accept connections.
    pub workers: BTreeSet<u32>,
    /// Workers of older generations that finish their last requests.
    pub draining: usize,
    /// Whether somebody has stopped the master or one of these workers
    /// (SIGSTOP), so that it heeds nothing until it goes on. What a debugger
    /// holds is not meant.
    pub stopped: bool,
}

impl Generation {
    /// Whether this generation came after `earlier`: another master, or not one
    /// worker in common.
    #[must_use]
    pub fn replaces(&self, earlier: &Self) -> bool {
        self.master_pid != earlier.master_pid || self.workers.is_disjoint(&earlier.workers)
    }
}

/// What nginx says, in pieces that end anywhere; an error is the last.
pub type Output = BoxStream<'static, io::Result<Bytes>>;

/// Checks configurations with nginx, and moves one nginx onto the
/// configuration its entry file names. The caller writes the files; the
/// reloader never does.
///
/// # Contract
///
/// 1. `check` never disturbs the workers that are serving.
/// 2. `check` fails with `Rejected`, and nginx's words, for a configuration
///    nginx does not accept.
/// 3. `reload` returns `Ok` only after a complete generation of new workers
///    was seen and the one before accepts no more connections.
/// 4. After `Rejected` from `reload` the previous generation still serves.
///    After any other error either may: the caller looks before it acts.
/// 5. `start` on a running nginx changes nothing and returns its generation;
///    otherwise it returns `Ok` only when workers are running.
/// 6. `running` returns `None` when no nginx of this instance runs.
/// 7. `stop` returns `Ok` only when the nginx that ran has ended, its workers
///    too, and also if they no longer heed anything. Where none runs there is
///    nothing to do. It never touches a process that was not seen to be
///    nginx's. Whoever else looks after nginx may have started another.
/// 8. `quit` returns `true` only when the nginx that ran has ended by itself.
/// 9. `resume` ends no process and disturbs no request.
/// 10. `would_start` never disturbs what serves, and never fails for a
///    configuration in place with which nginx does start.
#[async_trait]
pub trait Reloader: fmt::Debug + Send + Sync + 'static {
    /// Stable short name for metric labels and errors, for example `"signal"`.
    fn backend(&self) -> &'static str;

    /// Validates `candidate` exactly as nginx would, within `deadline`.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Rejected`] or [`ReloadError::Backend`]; nothing changed.
    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError>;

    /// Moves nginx onto what its configuration file says now.
    ///
    /// # Errors
    ///
    /// See clause 4.
    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError>;

    /// Looks whether nginx would start with what its configuration file says
    /// now, also while it runs: before what serves is ended for a new one.
    /// Default: nothing is known against it.
    ///
    /// # Errors
    ///
    /// [`ReloadError::WouldNotStart`]; nothing changed.
    async fn would_start(&self, deadline: Duration) -> Result<(), ReloadError> {
        let _ = deadline;
        Ok(())
    }

    /// Starts nginx if it does not run.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Rejected`] when nginx refuses to start, with its words;
    /// [`ReloadError::WouldNotStart`] when workers of a killed nginx serve and
    /// were left alone, as another would not start.
    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError>;

    /// Ends nginx, by force if it does not heed. Only for one that serves
    /// nobody any more: requests under way are lost.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Backend`] when it still runs at the `deadline`, or may not
    /// be signalled.
    async fn stop(&self, deadline: Duration) -> Result<(), ReloadError>;

    /// Asks nginx to finish the requests under way and to end, and waits for
    /// that; `false` if it still runs at the `deadline`, or cannot be asked.
    /// It takes no new connections meanwhile.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Backend`] when it may not be signalled.
    async fn quit(&self, deadline: Duration) -> Result<bool, ReloadError> {
        let _ = deadline;
        Ok(false)
    }

    /// Has processes of nginx go on that somebody has
    /// [stopped](Generation::stopped). Default: does nothing.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Backend`] when they may not be signalled.
    async fn resume(&self) -> Result<(), ReloadError> {
        Ok(())
    }

    /// The error log of nginx, opened anew for reading; `None` where it is no
    /// file that can be read from here.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Backend`] when it cannot be found out.
    async fn error_log(&self) -> Result<Option<File>, ReloadError> {
        Ok(None)
    }

    /// The last `lines` lines of what nginx says on standard error, where the
    /// [error log](Self::error_log) is no file and something else keeps them;
    /// with `follow`, then what is added, until nginx ends. `None`, the default,
    /// where nobody keeps them.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Backend`] when they are not given back.
    async fn output(&self, lines: u32, follow: bool) -> Result<Option<Output>, ReloadError> {
        let _ = (lines, follow);
        Ok(None)
    }

    /// What runs now.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Backend`] when it cannot be found out.
    async fn running(&self) -> Result<Option<Generation>, ReloadError>;
}

/// A reloader that was chosen when the program ran.
#[async_trait]
impl<R: Reloader + ?Sized> Reloader for Box<R> {
    fn backend(&self) -> &'static str {
        (**self).backend()
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        (**self).check(candidate, deadline).await
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        (**self).reload(deadline).await
    }

    async fn would_start(&self, deadline: Duration) -> Result<(), ReloadError> {
        (**self).would_start(deadline).await
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        (**self).start(deadline).await
    }

    async fn stop(&self, deadline: Duration) -> Result<(), ReloadError> {
        (**self).stop(deadline).await
    }

    async fn quit(&self, deadline: Duration) -> Result<bool, ReloadError> {
        (**self).quit(deadline).await
    }

    async fn resume(&self) -> Result<(), ReloadError> {
        (**self).resume().await
    }

    async fn error_log(&self) -> Result<Option<File>, ReloadError> {
        (**self).error_log().await
    }

    async fn output(&self, lines: u32, follow: bool) -> Result<Option<Output>, ReloadError> {
        (**self).output(lines, follow).await
    }

    async fn running(&self) -> Result<Option<Generation>, ReloadError> {
        (**self).running().await
    }
}

/// Why a check, start or reload failed. Variants follow what the caller can do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// nginx does not take the configuration; the same bytes will fail again
    /// unless the machine changes (a port becomes free, a file appears).
    #[error("nginx rejected the configuration: {diagnostic}")]
    Rejected {
        /// nginx's own lines, `[emerg]` first.
        diagnostic: String,
    },
    /// nginx would not start: seen beforehand, so what serves was left alone.
    #[error("a start of nginx would fail, so what serves is left alone: {reason}")]
    WouldNotStart {
        /// Why, in nginx's words where they are its own, and what helps.
        reason: String,
    },
    /// No nginx of this instance runs.
    #[error("nginx is not running")]
    NotRunning,
    /// No complete new generation in time; which generation serves is unknown.
    #[error("no complete generation of new workers within {waited:?}")]
    NotConfirmed {
        /// How long was waited.
        waited: Duration,
    },
    /// The mechanism itself failed: signal, unit manager, container API.
    #[error("the {backend} reloader could not {action}")]
    Backend {
        /// The backend's name.
        backend: &'static str,
        /// What was attempted.
        action: &'static str,
        /// The backend's own error.
        source: BoxError,
    },
}

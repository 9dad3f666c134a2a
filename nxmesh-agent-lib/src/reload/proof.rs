//! What proves a reload or a start, whoever is asked for it: new workers that
//! live, and old ones that accept no more. No exit code does.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use nxmesh_core::contract::{
    BoxError,
    reloader::{Generation, ReloadError},
};
use tokio::time::sleep;

use super::{
    error_log::{ErrorLog, Says},
    turnover::Turnover,
};
use crate::{apply::chain, nginx::Master};

/// How often nginx is looked at while something is due at any moment.
const POLL: Duration = Duration::from_millis(10);
/// How often while new workers only have to stay alive: what came and went
/// between two looks shows in the process ids.
const POLL_SETTLING: Duration = Duration::from_millis(50);
/// While new workers are awaited, the pause grows to this part of the wait so
/// far: on a machine with many nginx, looking must not slow down their parsing.
const POLL_PART: u32 = 4;
/// How long the processes have to bear out what the error log says.
const BORNE_OUT: Duration = Duration::from_millis(250);

/// What differs between the ways of driving nginx.
#[async_trait]
pub(super) trait Means: Sync {
    /// How this nginx is looked at.
    type Nginx: Watched;

    /// The name of the backend.
    fn name(&self) -> &'static str;

    /// The nginx of this instance; `None` if it does not run.
    async fn find(&self) -> Result<Option<Self::Nginx>, ReloadError>;

    /// Has `nginx` read its configuration anew. `Ok` need not mean that it did.
    async fn have_reloaded(
        &self,
        nginx: &Self::Nginx,
        deadline: Duration,
    ) -> Result<(), ReloadError>;

    /// Has nginx started, as none runs. `Ok` need not mean that it does.
    async fn launch(&self, deadline: Duration) -> Result<(), ReloadError>;

    /// Whether a reload may end in another master.
    fn may_restart(&self) -> bool {
        false
    }

    /// Fails if a launch came to nothing. Asked while nginx is not seen.
    async fn is_coming(&self) -> Result<(), ReloadError> {
        Ok(())
    }
}

/// One nginx, as far as it can be seen.
#[async_trait]
pub(super) trait Watched: Send + Sync {
    /// The processes its master has started: cheaper than
    /// [`generation`](Self::generation), and different when that is.
    async fn children(&self) -> Result<Vec<u32>, ReloadError>;

    /// Its workers now.
    async fn generation(&self) -> Result<Generation, ReloadError>;

    /// Whether its master still runs.
    async fn is_alive(&self) -> Result<bool, ReloadError>;

    /// Whether its master reads no configuration now.
    async fn is_asleep(&self) -> Result<bool, ReloadError>;

    /// What its master says from now on. How the `earlier` processes end says
    /// nothing about what is to be proven.
    async fn follow_log(&self, earlier: Vec<u32>) -> Result<ErrorLog, ReloadError>;
}

#[async_trait]
impl Watched for Master {
    async fn children(&self) -> Result<Vec<u32>, ReloadError> {
        Ok(Self::children(self))
    }

    async fn generation(&self) -> Result<Generation, ReloadError> {
        Ok(Self::generation(self))
    }

    async fn is_alive(&self) -> Result<bool, ReloadError> {
        Ok(Self::is_alive(self))
    }

    async fn is_asleep(&self) -> Result<bool, ReloadError> {
        Ok(Self::is_asleep(self))
    }

    async fn follow_log(&self, earlier: Vec<u32>) -> Result<ErrorLog, ReloadError> {
        Ok(ErrorLog::at_end_of(self, earlier))
    }
}

/// Has nginx reload and watches until that is proven or refused.
pub(super) async fn reload<M: Means>(
    means: &M,
    deadline: Duration,
) -> Result<Generation, ReloadError> {
    let begun = Instant::now();
    let mut nginx = means.find().await?.ok_or(ReloadError::NotRunning)?;
    let (before, children) = (nginx.generation().await?, nginx.children().await?);
    let mut turnover = Turnover::from(&before);
    let mut log = nginx.follow_log(children.clone()).await?;
    means.have_reloaded(&nginx, deadline).await?;
    let mut doubt = Doubt::default();
    let asked = Instant::now();
    while begun.elapsed() < deadline {
        sleep(if turnover.begun() {
            POLL_SETTLING
        } else {
            POLL.max(asked.elapsed() / POLL_PART)
        })
        .await;
        // The log first: a refusal seen now cannot belong to workers seen later.
        let says = log.read();
        if says == Says::Nothing
            && !before.workers.is_empty()
            && children == nginx.children().await?
        {
            continue;
        }
        let seen = nginx.generation().await?;
        let complete = turnover.complete(Instant::now(), &seen);
        let missing = seen.workers.difference(&before.workers).count() < before.workers.len();
        if seen.workers.is_empty() && !nginx.is_alive().await? {
            if !means.may_restart() {
                return Err(ReloadError::NotRunning);
            }
            if let Some(next) = means.find().await? {
                nginx = next;
            }
            continue;
        }
        let refused = says == Says::Refused && !turnover.begun();
        let dying = says == Says::WorkersDie && (missing || seen.workers.is_empty());
        // A master that is awake may still be reading or forking.
        let agreed = (refused || dying) && nginx.is_asleep().await?;
        let borne_out = doubt.is_over(agreed);
        if (refused || dying) && !borne_out {
            continue;
        }
        if borne_out {
            let diagnostic = log.diagnostic();
            return Err(if dying {
                backend(means.name(), "keep the new workers alive")(diagnostic)
            } else if before.workers.is_empty() {
                backend(means.name(), "bring workers back")(diagnostic)
            } else {
                rejected(diagnostic, String::new)
            });
        }
        if complete {
            return Ok(seen);
        }
    }
    Err(ReloadError::NotConfirmed {
        waited: begun.elapsed(),
    })
}

/// Has nginx started, if it does not run, and watches until its workers live.
pub(super) async fn start<M: Means>(
    means: &M,
    deadline: Duration,
) -> Result<Generation, ReloadError> {
    let begun = Instant::now();
    if let Some(nginx) = means.find().await? {
        let seen = nginx.generation().await?;
        if !seen.workers.is_empty() {
            return Ok(seen);
        }
    } else {
        means.launch(deadline).await?;
    }
    let mut doubt = Doubt::default();
    let mut coming: Option<(M::Nginx, ErrorLog, Turnover)> = None;
    while begun.elapsed() < deadline {
        match &mut coming {
            Some((nginx, log, turnover)) => {
                let seen = nginx.generation().await?;
                if turnover.complete(Instant::now(), &seen) {
                    return Ok(seen);
                }
                let die = log.read() == Says::WorkersDie;
                if doubt.is_over(die && seen.workers.is_empty()) {
                    return Err(backend(means.name(), "keep the new workers alive")(
                        log.diagnostic(),
                    ));
                }
                if !nginx.is_alive().await? {
                    means.is_coming().await?;
                    return Err(ReloadError::NotRunning);
                }
            }
            None => match means.find().await? {
                Some(nginx) => {
                    let log = nginx.follow_log(Vec::new()).await?;
                    coming = Some((nginx, log, Turnover::from_nobody()));
                }
                None => means.is_coming().await?,
            },
        }
        sleep(POLL_SETTLING).await;
    }
    Err(ReloadError::NotConfirmed {
        waited: begun.elapsed(),
    })
}

/// Doubt about what the error log says, as clients can forge its lines. It is
/// over once the processes have agreed with it without a break.
#[derive(Debug, Default)]
struct Doubt {
    agreed_since: Option<Instant>,
}

impl Doubt {
    fn is_over(&mut self, agreed: bool) -> bool {
        if !agreed {
            self.agreed_since = None;
            return false;
        }
        let since = *self.agreed_since.get_or_insert_with(Instant::now);
        since.elapsed() >= BORNE_OUT
    }
}

pub(super) fn rejected(diagnostic: String, or: impl FnOnce() -> String) -> ReloadError {
    ReloadError::Rejected {
        diagnostic: if diagnostic.is_empty() {
            or()
        } else {
            diagnostic
        },
    }
}

/// A start that would fail for `error`, and what helps.
pub(super) fn would_not_start(error: &ReloadError, remedy: &str) -> ReloadError {
    let why = match error {
        ReloadError::Rejected { diagnostic } => diagnostic.clone(),
        other => chain(other),
    };
    ReloadError::WouldNotStart {
        reason: format!("{why}; {remedy}"),
    }
}

pub(super) fn backend<E: Into<BoxError>>(
    backend: &'static str,
    action: &'static str,
) -> impl FnOnce(E) -> ReloadError {
    move |source| ReloadError::Backend {
        backend,
        action,
        source: source.into(),
    }
}

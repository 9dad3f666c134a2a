//! Reloading by the operator's own commands, proven as any other reload.

use std::{fs::File, path::Path, time::Duration};

use async_trait::async_trait;
use nxmesh_core::contract::reloader::{Candidate, Generation, ReloadError, Reloader};
use tokio::sync::Mutex;

use super::{
    diagnostic,
    local::{Local, SignalOptions},
    needs::{self, Unmet},
    proof::{self, Means},
};
use crate::nginx::{Master, command};

/// A start that says more is stopped.
const START_LIMIT_BYTES: u64 = 16 << 20;

/// Which commands, each a program and its arguments. No shell sees them; they
/// run in `/` with nothing but `PATH` in their environment. What is left out
/// is done as the [`SignalReloader`](super::SignalReloader) does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOptions {
    /// Which nginx: how it is found, and what is not left to commands. The
    /// binary is not needed with a check and a start of your own.
    pub nginx: SignalOptions,
    /// Checks `{conf}`, as `nginx -t` does, with the prefix `{prefix}`, and
    /// exits with 0 for a good one. For example
    /// `docker exec web nginx -t -q -p {prefix} -c {conf}`.
    pub check: Option<Vec<String>>,
    /// Has nginx read its configuration anew.
    pub reload: Option<Vec<String>>,
    /// Starts nginx, and exits when that is done.
    pub start: Option<Vec<String>>,
}

/// Drives an nginx by commands. Their exit codes are believed when they fail;
/// a success is proven by nginx's processes.
#[derive(Debug)]
pub struct CommandReloader {
    options: CommandOptions,
    local: Local,
    turn: Mutex<()>,
}

impl CommandReloader {
    const NAME: &'static str = "command";

    /// Makes a reloader; nothing is looked at yet.
    #[must_use]
    pub fn new(options: CommandOptions) -> Self {
        Self {
            local: Local::new(Self::NAME, options.nginx.clone()),
            options,
            turn: Mutex::new(()),
        }
    }

    /// The configuration in place, as a check takes it.
    async fn in_place(&self) -> Candidate {
        let SignalOptions { conf, prefix, .. } = &self.options.nginx;
        let known = match prefix {
            Some(prefix) => Some(prefix.clone()),
            None => self
                .local
                .build(None)
                .await
                .ok()
                .map(|it| it.prefix.clone()),
        };
        let home = || conf.parent().unwrap_or(Path::new("/")).to_owned();
        Candidate {
            check_conf: conf.clone(),
            check_prefix: known.unwrap_or_else(home),
        }
    }

    /// Looks whether all is there that this needs.
    ///
    /// # Errors
    ///
    /// [`Unmet`] names the first thing that is missing.
    pub async fn verify(&self) -> Result<(), Unmet> {
        let CommandOptions {
            check,
            reload,
            start,
            ..
        } = &self.options;
        for (what, words) in [("check", check), ("reload", reload), ("start", start)] {
            if let Some(words) = words {
                needs::program(what, words)?;
            }
        }
        if check.is_some() && reload.is_some() && start.is_some() {
            return Ok(());
        }
        self.local.verify().await
    }
}

#[async_trait]
impl Means for CommandReloader {
    type Nginx = Master;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn find(&self) -> Result<Option<Master>, ReloadError> {
        match self.local.build(None).await {
            Ok(build) => self.local.find_knowing(Some(build)),
            Err(_) if self.options.check.is_some() => self.local.find_knowing(None),
            Err(error) => Err(error),
        }
    }

    async fn have_reloaded(&self, nginx: &Master, deadline: Duration) -> Result<(), ReloadError> {
        let Some(words) = &self.options.reload else {
            return self.local.hang_up(nginx).await;
        };
        self.local.remove_dead_sockets().await?;
        run(words, &[], deadline, "reload nginx").await
    }

    async fn launch(&self, deadline: Duration) -> Result<(), ReloadError> {
        const ACTION: &str = "start nginx";
        self.local.clear_the_way(self.would_start(deadline)).await?;
        let Some(words) = &self.options.start else {
            return self.local.launch(deadline).await;
        };
        let (mut log, own) = self.local.start_log()?;
        let status = command::run_into(filled(words, &[]), own, START_LIMIT_BYTES, deadline)
            .await
            .map_err(proof::backend(Self::NAME, ACTION))?;
        if status.success() {
            return Ok(());
        }
        let said = self.local.read_start_log(&mut log)?;
        Err(refused(&said, &status, ACTION))
    }

    fn may_restart(&self) -> bool {
        self.options.reload.is_some()
    }
}

#[async_trait]
impl Reloader for CommandReloader {
    fn backend(&self) -> &'static str {
        Self::NAME
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        let Some(words) = &self.options.check else {
            return self.local.check(candidate, deadline).await;
        };
        let places = [
            ("{conf}", candidate.check_conf.as_path()),
            ("{prefix}", candidate.check_prefix.as_path()),
        ];
        run(words, &places, deadline, "check a configuration").await
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let _turn = self.turn.lock().await;
        proof::reload(self, deadline).await
    }

    /// By the check of its own where there is one.
    async fn would_start(&self, deadline: Duration) -> Result<(), ReloadError> {
        let CommandOptions { check, start, .. } = &self.options;
        if let Some(words) = start
            && let Err(unmet) = needs::program("start", words)
        {
            let reason = unmet.to_string();
            return Err(ReloadError::WouldNotStart { reason });
        }
        match (check, start) {
            (Some(_), _) => {
                let in_place = self.in_place().await;
                let checked = Reloader::check(self, &in_place, deadline).await;
                checked.map_err(|error| proof::would_not_start(&error, "so says the check command"))
            }
            (None, Some(_)) => self.local.would_start(deadline).await,
            (None, None) => self.local.would_launch(deadline).await,
        }
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        let _turn = self.turn.lock().await;
        proof::start(self, deadline).await
    }

    async fn stop(&self, deadline: Duration) -> Result<(), ReloadError> {
        let _turn = self.turn.lock().await;
        match Means::find(self).await? {
            Some(nginx) => self.local.end(&nginx, deadline).await,
            None => Ok(()),
        }
    }

    async fn quit(&self, deadline: Duration) -> Result<bool, ReloadError> {
        let _turn = self.turn.lock().await;
        match Means::find(self).await? {
            Some(nginx) => self.local.quit(&nginx, deadline).await,
            None => Ok(true),
        }
    }

    async fn resume(&self) -> Result<(), ReloadError> {
        self.local.resume(Means::find(self).await?.as_ref())
    }

    async fn error_log(&self) -> Result<Option<File>, ReloadError> {
        let nginx = Means::find(self).await?;
        Ok(nginx.and_then(|nginx| nginx.error_log()))
    }

    async fn running(&self) -> Result<Option<Generation>, ReloadError> {
        let master = Means::find(self).await?;
        Ok(master.map(|master| master.generation()))
    }
}

async fn run(
    words: &[String],
    places: &[(&str, &Path)],
    deadline: Duration,
    action: &'static str,
) -> Result<(), ReloadError> {
    let finished = command::run_with_output(filled(words, places), deadline)
        .await
        .map_err(proof::backend(CommandReloader::NAME, action))?;
    if finished.status.success() {
        return Ok(());
    }
    Err(refused(&finished.stderr, &finished.status, action))
}

fn filled(words: &[String], places: &[(&str, &Path)]) -> tokio::process::Command {
    let mut words = words.iter().map(|word| {
        places.iter().fold(word.clone(), |word, (place, path)| {
            word.replace(place, &path.to_string_lossy())
        })
    });
    let mut command = command::command(Path::new(&words.next().unwrap_or_default()));
    command.args(words);
    command
}

/// nginx's refusal if the command passed one on, else its own failure.
fn refused(said: &str, status: &std::process::ExitStatus, action: &'static str) -> ReloadError {
    let diagnostic = diagnostic::of(said.lines());
    if diagnostic.contains("[emerg]") {
        return ReloadError::Rejected { diagnostic };
    }
    proof::backend(CommandReloader::NAME, action)(diagnostic::ended(status, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_fill_their_places_and_stay_one_word() {
        let words: Vec<String> = ["test", "-c{conf}", "{conf}{prefix}", "{other}"]
            .map(str::to_owned)
            .into();
        let places = [
            ("{conf}", Path::new("/a b;c")),
            ("{prefix}", Path::new("/p")),
        ];
        let command = filled(&words, &places);
        let arguments: Vec<_> = command.as_std().get_args().collect();
        assert_eq!(arguments, ["-c/a b;c", "/a b;c/p", "{other}"]);
    }
}

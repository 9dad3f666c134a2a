//! What the master commands, done and answered.

use nxmesh_core::wire::{CommandKind, CommandResult};
use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use super::{care::chain, observed::Nginx, run::Controller};
use crate::exchange::Order;

/// How long requests under way may take to finish before a restart.
const GRACE: Duration = Duration::from_secs(20);

impl Controller {
    /// Does the command that waits, and tells what came of it.
    pub(super) async fn obey(&mut self) {
        let Some(Order { command, until }) = self.order.take() else {
            return;
        };
        let overdue = until.is_some_and(|until| until <= Instant::now());
        let done = match command.kind() {
            _ if overdue => Err("the command's deadline is over".to_owned()),
            CommandKind::Recheck => Ok(self.recheck().await),
            CommandKind::Reload => self.reload(until).await,
            CommandKind::Restart => self.restart_as_told(until).await,
            CommandKind::Drain => self.drain(true),
            CommandKind::Undrain => self.drain(false),
            // Logs are the session's, not the controller's.
            CommandKind::Logs | CommandKind::EndLogs | CommandKind::CommandUnspecified => {
                Err("this agent does not know the command".into())
            }
        };
        info!(id = command.id, kind = ?command.kind(), ?done, "commanded");
        self.exchange.outbox.push_result(CommandResult {
            id: command.id,
            ok: done.is_ok(),
            message: match done {
                Ok(found) | Err(found) => found,
            },
        });
    }

    /// Looks at nginx and at every file of the release; tells what is found.
    async fn recheck(&mut self) -> String {
        self.check().await;
        self.observe().await;
        let status = self.exchange.status.borrow();
        let Some(applied) = self.pipeline.applied() else {
            return "nothing was applied yet".to_owned();
        };
        let (version, release) = (applied.version, &applied.release);
        let mut found = Vec::new();
        let drift = status.drift.as_ref();
        if status.running != Some(applied.release_digest)
            || drift.is_some_and(|drift| !drift.files.is_empty())
        {
            found.push(format!("files of release {release} were changed on disk"));
        }
        if drift.is_some_and(|drift| drift.loaded) {
            found.push("nginx may serve what was changed in its files".to_owned());
        }
        match self.observed.nginx {
            Nginx::Fine => {}
            Nginx::Silent | Nginx::Hung => found.push("nginx does not answer".to_owned()),
            _ if !status.nginx.running => found.push("nginx does not run".to_owned()),
            _ => found.push(format!("nginx does not serve release {release}")),
        }
        if found.is_empty() {
            format!("no drift: nginx serves version {version}, and its files are as they were made")
        } else {
            format!("drift from version {version}: {}", found.join("; "))
        }
    }

    async fn reload(&mut self, until: Option<Instant>) -> Result<String, String> {
        let most = self.options.reload_deadline;
        let left = until.map_or(most, |until| until.duration_since(Instant::now()));
        self.check().await;
        if let Some(refused) = self.would_serve_what_was_changed() {
            return Err(refused);
        }
        let reloaded = self.reloader.reload(left.min(most)).await;
        self.note_reload().await;
        reloaded
            .map(|generation| format!("{} new workers serve", generation.workers.len()))
            .map_err(|error| error.to_string())
    }

    /// A reload is to bring what is wanted, and nothing of what somebody else wrote.
    fn would_serve_what_was_changed(&self) -> Option<String> {
        let status = self.exchange.status.borrow();
        let drift = status.drift.as_ref().filter(|it| !it.files.is_empty())?;
        let paths: Vec<&str> = drift.files.iter().map(|file| &*file.path).collect();
        let more = match drift.more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "not reloaded, as nginx would take in what was changed in its files: {}{more}; put them back, or say `nxmeshctl agent restart`, which has them written anew",
            paths.join(", ")
        ))
    }

    /// Not of an nginx that would not come back. Half of the time is for requests
    /// under way; what is left of nginx then is ended by force.
    async fn restart_as_told(&mut self, until: Option<Instant>) -> Result<String, String> {
        let would_come_back = self.pipeline.would_come_back().await;
        would_come_back.map_err(|error| chain(&error))?;
        let patience = until.map_or(GRACE, |until| {
            until.duration_since(Instant::now()).div_f64(2.0).min(GRACE)
        });
        let quit = self.reloader.quit(patience).await;
        let gracefully = quit.map_err(|error| error.to_string())?;
        let running = self.restart().await?;
        let how = match gracefully {
            true => "all requests were finished",
            false => "some requests may have been cut off",
        };
        Ok(format!("nginx runs anew as process {running}; {how}"))
    }

    fn drain(&mut self, set: bool) -> Result<String, String> {
        self.drained
            .change(set)
            .map_err(|error| format!("could not store it on the agent's disk: {error}"))?;
        self.exchange
            .status
            .send_modify(|status| status.drained = set);
        Ok(match set {
            true => "takes no new version until it is undrained; nginx serves on",
            false => "takes new versions again",
        }
        .to_owned())
    }
}

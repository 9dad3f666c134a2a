//! The end of nginx's error log and what is added to it, for whoever asks the
//! master. Never in the way of anything else: what there is no room for is
//! dropped, counted and told.

mod file;
mod lines;
mod output;

use std::{collections::HashMap, fmt, fs::File, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use nxmesh_core::{
    contract::reloader::{Output, Reloader},
    wire::{Command, CommandKind, LogBatch, LogLine},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::{file::Log, lines::Added};
use crate::apply::chain;

/// Tails at the same time.
const TAILS: usize = 4;
/// The most lines that are sent of what is there already.
const LINES: usize = 1000;
/// Lines of one batch, and of one look.
const BATCH: usize = 50;
const LINES_PER_LOOK: usize = 500;
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked whether nginx writes to another file by now.
const REOPEN: Duration = Duration::from_secs(2);
/// How long a tail goes on at most.
const LONGEST: Duration = Duration::from_secs(600);

/// Why a tail is over.
const OVER: &str = "the time for one look is over; ask again";
const NOBODY: &str = "nobody took it";

/// Where the log is.
#[async_trait]
pub(crate) trait LogSource: fmt::Debug + Send + Sync + 'static {
    /// The log, opened anew; `None` if it is no file.
    async fn open(&self) -> io::Result<Option<File>>;

    /// Its last lines and what is added to them, where it is no file; `None` if
    /// nobody keeps them.
    async fn output(&self, lines: u32, follow: bool) -> io::Result<Option<Output>>;
}

/// The error log of the nginx that a reloader drives.
#[derive(Debug)]
pub(crate) struct ErrorLogOf(pub(crate) Arc<dyn Reloader>);

#[async_trait]
impl LogSource for ErrorLogOf {
    async fn open(&self) -> io::Result<Option<File>> {
        let log = self.0.error_log().await;
        log.map_err(|error| io::Error::other(chain(&error)))
    }

    async fn output(&self, lines: u32, follow: bool) -> io::Result<Option<Output>> {
        let output = self.0.output(lines, follow).await;
        output.map_err(|error| io::Error::other(chain(&error)))
    }
}

/// Tails as they are ordered, for as long as this is polled: for one session.
pub(super) async fn tails(
    source: Arc<dyn LogSource>,
    mut orders: mpsc::Receiver<Command>,
    batches: mpsc::Sender<LogBatch>,
) {
    let mut at_work = JoinSet::new();
    let mut ends: HashMap<String, CancellationToken> = HashMap::new();
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            Some(ended) = at_work.join_next() => {
                if let Ok(id) = ended {
                    ends.remove::<String>(&id);
                }
                continue;
            }
        };
        let Some(order) = order else { return };
        if order.kind() == CommandKind::EndLogs {
            if let Some(end) = ends.get(&order.id) {
                end.cancel();
            }
            continue;
        }
        let end = CancellationToken::new();
        let tail = Tail {
            id: order.id.clone(),
            batches: batches.clone(),
            dropped: 0,
        };
        if at_work.len() >= TAILS {
            tail.finish("too many look at the log already");
            continue;
        }
        ends.insert(order.id.clone(), end.clone());
        let source = Arc::clone(&source);
        at_work.spawn(async move { tail.run(&*source, &order, &end).await });
    }
}

/// One that looks at the log.
struct Tail {
    id: String,
    batches: mpsc::Sender<LogBatch>,
    /// Lines that are missing before the next batch.
    dropped: u64,
}

impl Tail {
    /// Returns its id when it is over.
    async fn run(
        mut self,
        source: &dyn LogSource,
        order: &Command,
        end: &CancellationToken,
    ) -> String {
        let id = self.id.clone();
        let reason = tokio::select! {
            () = end.cancelled() => "it was ended".to_owned(),
            reason = self.follow(source, order) => match reason {
                Ok(reason) => reason.to_owned(),
                Err(error) => format!("could not read nginx's error log: {error}"),
            },
        };
        self.finish(&reason);
        id
    }

    async fn follow(
        &mut self,
        source: &dyn LogSource,
        order: &Command,
    ) -> io::Result<&'static str> {
        let until = Instant::now() + LONGEST;
        let lines = usize::try_from(order.lines).unwrap_or(LINES).min(LINES);
        let Some(file) = source.open().await? else {
            return self.follow_output(source, lines, order.follow, until).await;
        };
        let (mut log, last) = blocking(move || Log::end_of(file, lines)).await?;
        if !self.wait_to_tell(&last, until).await {
            return Ok(NOBODY);
        }
        if !order.follow {
            return Ok("");
        }
        let mut reopen_at = Instant::now() + REOPEN;
        while Instant::now() < until {
            sleep(LOOK).await;
            let (read, added) = blocking(move || {
                let mut log = log;
                let added = log.added()?;
                Ok((log, added))
            })
            .await?;
            log = read;
            self.tell(added);
            if reopen_at <= Instant::now() {
                reopen_at = Instant::now() + REOPEN;
                // Rotated: what was written to the old one last was read just now.
                if let Some(newer) = source.open().await? {
                    log = blocking(move || log.or(newer)).await?;
                }
            }
        }
        Ok(OVER)
    }

    /// Passes on what is there already, which waits for room; `false` if nobody
    /// takes it.
    async fn wait_to_tell(&mut self, lines: &[String], until: Instant) -> bool {
        for lines in lines.chunks(BATCH) {
            let batch = self.batch(lines.to_vec());
            let sent = timeout_at(until, self.batches.send(batch)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// Passes on what there is room for.
    fn tell(&mut self, added: Added) {
        self.dropped += added.dropped;
        for lines in added.lines.chunks(BATCH) {
            let batch = self.batch(lines.to_vec());
            if let Err(error) = self.batches.try_send(batch) {
                let batch = error.into_inner();
                self.dropped = batch.dropped + batch.lines.len() as u64;
            }
        }
    }

    fn batch(&mut self, lines: Vec<String>) -> LogBatch {
        let lines = lines.into_iter().map(|text| LogLine { timestamp: 0, text });
        LogBatch {
            command_id: self.id.clone(),
            lines: lines.collect(),
            dropped: std::mem::take(&mut self.dropped),
            ..LogBatch::default()
        }
    }

    /// Without room the master finds out by itself that it is over.
    fn finish(mut self, reason: &str) {
        let batch = LogBatch {
            end: true,
            reason: reason.to_owned(),
            ..self.batch(Vec::new())
        };
        drop(self.batches.try_send(batch));
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

#[cfg(test)]
mod tests;

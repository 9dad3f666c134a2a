//! The end of nginx's error log and what is added to it, for whoever asks the
//! master. Never in the way of anything else: what there is no room for is
//! dropped, counted and told.

mod lines;
mod output;

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    sync::Arc,
    time::Duration,
};

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

use self::lines::{Added, Lines};
use crate::apply::chain;

/// Tails at the same time.
const TAILS: usize = 4;
/// The most lines that are sent of what is there already.
const LINES: usize = 1000;
/// How far back they are looked for.
const BACK_BYTES: u64 = 256 << 10;
/// Lines of one batch, and of one look.
const BATCH: usize = 50;
const LINES_PER_LOOK: usize = 500;
/// What is read at most at one look.
const BYTES_PER_LOOK: u64 = 64 << 20;
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

/// A file that grows.
#[derive(Debug)]
struct Log {
    file: File,
    at: u64,
    lines: Lines,
}

impl Log {
    /// At its end, with the last `count` lines.
    fn end_of(mut file: File, count: usize) -> io::Result<(Self, Vec<String>)> {
        let length = file.metadata()?.len();
        let from = length.saturating_sub(BACK_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut log = Self {
            file,
            at: from,
            lines: Lines::default(),
        };
        let mut lines = log.read(usize::MAX, BACK_BYTES)?.lines;
        if from > 0 && !lines.is_empty() {
            // The first may have lost its beginning.
            lines.remove(0);
        }
        let first = lines.len().saturating_sub(count);
        Ok((log, lines.split_off(first)))
    }

    fn added(&mut self) -> io::Result<Added> {
        if self.file.metadata()?.len() < self.at {
            // Begun anew.
            self.file.seek(SeekFrom::Start(0))?;
            self.at = 0;
            self.lines = Lines::default();
        }
        self.read(LINES_PER_LOOK, BYTES_PER_LOOK)
    }

    fn read(&mut self, keep: usize, most: u64) -> io::Result<Added> {
        let mut added = Added::default();
        let mut chunk = vec![0; 64 << 10];
        let mut left = most;
        while left > 0 {
            let read = self.file.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            self.at += read as u64;
            left = left.saturating_sub(read as u64);
            let filled = chunk.get(..read).unwrap_or_default();
            self.lines.take(filled, keep, &mut added);
        }
        Ok(added)
    }

    /// Goes on in `newer`, from its beginning, if that is another file.
    fn or(self, newer: File) -> io::Result<Self> {
        let (ours, theirs) = (self.file.metadata()?, newer.metadata()?);
        if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) {
            return Ok(self);
        }
        Ok(Self {
            file: newer,
            at: 0,
            lines: Lines::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, path::PathBuf, sync::Mutex};

    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use tokio::time::timeout;
    use tokio_stream::wrappers::ReceiverStream;

    use super::{lines::LINE_BYTES, *};

    #[derive(Debug)]
    struct InFile(PathBuf);

    #[async_trait]
    impl LogSource for InFile {
        async fn open(&self) -> io::Result<Option<File>> {
            File::open(&self.0).map(Some)
        }

        async fn output(&self, _: u32, _: bool) -> io::Result<Option<Output>> {
            Ok(None)
        }
    }

    struct Rig {
        folder: tempfile::TempDir,
        orders: mpsc::Sender<Command>,
        batches: mpsc::Receiver<LogBatch>,
        _at_work: JoinSet<()>,
    }

    impl Rig {
        /// With room for so many batches that nobody took yet.
        fn new(room: usize) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("error.log");
            File::create(&path).unwrap();
            Self::of(Arc::new(InFile(path)), folder, room)
        }

        fn of(source: Arc<dyn LogSource>, folder: tempfile::TempDir, room: usize) -> Self {
            let (orders, ordered) = mpsc::channel(4);
            let (sent, batches) = mpsc::channel(room);
            let mut at_work = JoinSet::new();
            at_work.spawn(tails(source, ordered, sent));
            Self {
                folder,
                orders,
                batches,
                _at_work: at_work,
            }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("error.log")
        }

        fn write(&self, text: &str) {
            let mut file = File::options()
                .append(true)
                .create(true)
                .open(self.path())
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        async fn order(&self, kind: CommandKind, lines: u32, follow: bool) {
            let order = Command {
                id: "tail".to_owned(),
                kind: kind.into(),
                lines,
                follow,
                ..Command::default()
            };
            self.orders.send(order).await.unwrap();
        }

        async fn batch(&mut self) -> LogBatch {
            let batch = timeout(Duration::from_secs(20), self.batches.recv()).await;
            let batch = batch.expect("in time").unwrap();
            assert_eq!(batch.command_id, "tail");
            batch
        }

        /// Lines until there are `count`, or the end.
        async fn lines(&mut self, count: usize) -> Vec<String> {
            let mut lines = Vec::new();
            while lines.len() < count {
                let batch = self.batch().await;
                assert_eq!(batch.dropped, 0);
                lines.extend(batch.lines.into_iter().map(|line| line.text));
                if batch.end {
                    break;
                }
            }
            lines
        }
    }

    fn numbered(numbers: std::ops::Range<usize>) -> String {
        numbers.map(|number| format!("line {number}\n")).collect()
    }

    #[tokio::test]
    async fn the_last_lines_are_told_and_it_ends() {
        let mut rig = Rig::new(64);
        rig.write(&(numbered(0..200) + "not whole"));
        rig.order(CommandKind::Logs, 120, false).await;
        let lines = rig.lines(usize::MAX).await;
        let expected: Vec<_> = (80..200).map(|number| format!("line {number}")).collect();
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn no_line_and_no_log_is_too_long() {
        let mut rig = Rig::new(64);
        rig.write(&"x".repeat(1 << 20));
        rig.write(&format!("\n{}\nlast\n", "y".repeat(10_000)));
        rig.order(CommandKind::Logs, u32::MAX, false).await;
        let lines = rig.lines(usize::MAX).await;
        assert_eq!(lines, ["y".repeat(LINE_BYTES), "last".to_owned()]);
    }

    #[tokio::test]
    async fn what_is_added_is_told_through_rotation_and_truncation() {
        let mut rig = Rig::new(64);
        rig.write("old\n");
        rig.order(CommandKind::Logs, 1, true).await;
        assert_eq!(rig.lines(1).await, ["old"]);
        rig.write("in ");
        rig.write("two parts\n");
        assert_eq!(rig.lines(1).await, ["in two parts"]);
        std::fs::rename(rig.path(), rig.folder.path().join("error.log.1")).unwrap();
        rig.write("after rotation\n");
        assert_eq!(rig.lines(1).await, ["after rotation"]);
        File::create(rig.path()).unwrap();
        rig.write("anew\n");
        assert_eq!(rig.lines(1).await, ["anew"]);
        rig.order(CommandKind::EndLogs, 0, false).await;
        let last = rig.batch().await;
        assert!(last.end && last.reason.contains("ended"), "{last:?}");
    }

    /// A reader that is slow, or gone, holds nothing up and learns what it missed.
    #[tokio::test]
    async fn what_there_is_no_room_for_is_counted() {
        let mut rig = Rig::new(2);
        rig.order(CommandKind::Logs, 1, true).await;
        // One that was told shows that the tail is at the end.
        rig.write("begun\n");
        assert_eq!(rig.lines(1).await, ["begun"]);
        rig.write(&numbered(0..10_000));
        let mut seen = 0;
        while seen < 10_000 {
            let batch = rig.batch().await;
            seen += batch.dropped + batch.lines.len() as u64;
            rig.write("more\n");
            sleep(LOOK).await;
        }
        assert!(rig.batches.is_empty() || seen >= 10_000);
    }

    #[tokio::test]
    async fn a_log_that_is_not_there_is_told() {
        let mut rig = Rig::new(4);
        std::fs::remove_file(rig.path()).unwrap();
        rig.order(CommandKind::Logs, 5, true).await;
        let last = rig.batch().await;
        assert!(last.end && last.reason.contains("error log"), "{last:?}");
    }

    /// What a container says; nobody keeps it once it was asked for.
    #[derive(Debug)]
    struct InPieces(Mutex<Option<mpsc::Receiver<io::Result<Bytes>>>>);

    #[async_trait]
    impl LogSource for InPieces {
        async fn open(&self) -> io::Result<Option<File>> {
            Ok(None)
        }

        async fn output(&self, lines: u32, _: bool) -> io::Result<Option<Output>> {
            assert_eq!(lines, 2);
            let pieces = self.0.lock().unwrap().take();
            Ok(pieces.map(|it| ReceiverStream::new(it).boxed()))
        }
    }

    impl Rig {
        fn in_pieces(room: usize) -> (Self, mpsc::Sender<io::Result<Bytes>>) {
            let (say, pieces) = mpsc::channel(4);
            let source = Arc::new(InPieces(Mutex::new(Some(pieces))));
            (Self::of(source, tempfile::tempdir().unwrap(), room), say)
        }
    }

    #[tokio::test]
    async fn what_a_container_says_is_told_until_it_ends() {
        for follow in [false, true] {
            let (mut rig, say) = Rig::in_pieces(64);
            rig.order(CommandKind::Logs, 2, follow).await;
            for piece in ["o", "ne\ntwo\nthr", "ee\nfo"] {
                say.send(Ok(piece.into())).await.unwrap();
            }
            assert_eq!(rig.lines(3).await, ["one", "two", "three"]);
            drop(say);
            let last = rig.batch().await;
            let told = last.reason.contains("does not run any more");
            assert!(last.end && told == follow, "{last:?}");

            rig.order(CommandKind::Logs, 2, follow).await;
            let last = rig.batch().await;
            assert!(last.end && last.reason.contains("docker logs"), "{last:?}");
        }
    }

    #[tokio::test]
    async fn what_breaks_a_containers_log_off_is_told() {
        let (mut rig, say) = Rig::in_pieces(64);
        rig.order(CommandKind::Logs, 2, true).await;
        say.send(Err(io::Error::other("gone"))).await.unwrap();
        let last = rig.batch().await;
        assert!(last.end && last.reason.contains("gone"), "{last:?}");
    }

    #[tokio::test]
    async fn what_a_container_says_too_fast_is_counted() {
        let (mut rig, say) = Rig::in_pieces(2);
        rig.order(CommandKind::Logs, 2, true).await;
        for number in 0..100 {
            let many = numbered(number * 100..(number + 1) * 100);
            say.send(Ok(many.into())).await.unwrap();
        }
        let mut seen = 0;
        while seen < 10_000 {
            let batch = rig.batch().await;
            seen += batch.dropped + batch.lines.len() as u64;
            // Tells what was dropped before.
            say.send(Ok("more\n".into())).await.unwrap();
        }
    }
}

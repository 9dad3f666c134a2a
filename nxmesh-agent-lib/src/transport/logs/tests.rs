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

//! Many at once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use nxmesh_core::{
    contract::storage::{ListRevisions, Storage},
    testkit::{patience::patiently, sample},
};

use super::{Place, append, head, history, put, revision};

const WRITERS: u64 = 8;
const COMMITS: u64 = 50;

/// Writers wait for each other and never fail; readers see whole revisions.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_commit_fifty_times_each() {
    let place = Place::new();
    let storage = place.open().await;
    let writing = AtomicBool::new(true);

    let writers = futures_util::future::join_all((0..WRITERS).map(|writer| {
        let storage = storage.clone();
        tokio::spawn(async move {
            let mut numbers = Vec::new();
            for _ in 0..COMMITS {
                let changes = vec![
                    put(sample::upstream("shared")),
                    put(sample::upstream(&format!("own-{writer}"))),
                ];
                let appended = append(&storage, revision(changes)).await.expect("append");
                numbers.push(appended.version.revision);
            }
            numbers
        })
    }));
    let reader = async {
        let mut last = 0;
        while writing.load(Ordering::Relaxed) {
            let mut unit = storage.read().await.expect("begin to read");
            let head = unit.revisions().head().await.expect("read the head");
            tokio::task::yield_now().await;
            let query = ListRevisions {
                workspace: None,
                after: last,
                limit: u32::MAX,
            };
            let newer = unit.revisions().list(&query).await.expect("list");
            assert_eq!(last + newer.len() as u64, head.revision);
            assert!(newer.iter().all(|revision| revision.changes.len() == 2));
            last = head.revision;
        }
    };
    let writers = async {
        let numbers = writers.await;
        writing.store(false, Ordering::Relaxed);
        numbers
    };
    let both = async { tokio::join!(writers, reader) };
    let (numbers, ()) = patiently("four hundred commits", both).await;

    let mut all = Vec::new();
    for numbers in numbers {
        let numbers = numbers.expect("a writer");
        assert!(numbers.is_sorted(), "{numbers:?}");
        all.extend(numbers);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=WRITERS * COMMITS).collect::<Vec<_>>());
    assert_eq!(head(&storage).await, WRITERS * COMMITS);
}

/// Two storages on one file, as two processes have it, take turns too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_two_processes_take_turns() {
    let place = Place::new();
    let first = place.open().await;
    let second = place.open().await;
    let write = |storage: nxmesh_master_lib::storage::SqlStorage| {
        tokio::spawn(async move {
            for _ in 0..COMMITS {
                append(&storage, super::small()).await.expect("append");
            }
        })
    };
    let both = async { tokio::join!(write(first.clone()), write(second)) };
    let (one, other) = patiently("a hundred commits of two", both).await;
    one.expect("the first");
    other.expect("the second");
    let numbers: Vec<u64> = history(&first)
        .await
        .expect("list")
        .iter()
        .map(|revision| revision.version.revision)
        .collect();
    assert_eq!(numbers, (1..=2 * COMMITS).collect::<Vec<_>>());
}

/// A reader neither waits for a writer nor keeps one waiting.
#[tokio::test]
async fn a_long_reader_and_a_long_writer_do_not_meet() {
    let place = Place::new();
    let storage = place.open().await;
    let mut reader = storage.read().await.expect("begin to read");
    let writer = storage.begin().await.expect("begin to write");
    let mut other = tokio::time::timeout(Duration::from_secs(5), storage.read())
        .await
        .expect("not to wait for the writer")
        .expect("begin to read");
    assert_eq!(other.revisions().head().await.expect("head").revision, 0);
    drop(writer);
    for number in 1..=20 {
        let appended = append(&storage, super::small()).await.expect("append");
        assert_eq!(appended.version.revision, number);
    }
    assert_eq!(reader.revisions().head().await.expect("head").revision, 0);
}

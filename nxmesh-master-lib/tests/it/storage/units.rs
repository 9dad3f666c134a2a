//! Units of work that end in unusual ways.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use nxmesh_core::{
    contract::storage::{Storage, StorageError},
    testkit::patience::patiently,
};
use tokio::sync::oneshot;

use super::{Place, append, chain, head, small};

/// Dropping works where there is no runtime, and undoes the unit.
#[tokio::test]
async fn a_unit_may_be_dropped_in_any_thread() {
    let place = Place::new();
    let storage = place.open().await;
    let mut unit = storage.begin().await.expect("begin");
    unit.revisions().append(small()).await.expect("append");
    thread::spawn(move || drop(unit)).join().expect("drop it");
    let appended = patiently("the next writer", append(&storage, small())).await;
    assert_eq!(appended.expect("append").version.revision, 1);
}

/// A task that is killed by the end of its runtime undoes its unit too.
#[test]
fn a_unit_may_be_dropped_by_a_runtime_that_ends() {
    let place = Place::new();
    for flavour in [1, 4] {
        let build = || {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(flavour)
                .enable_all()
                .build()
                .expect("build a runtime")
        };
        let runtime = build();
        let before = runtime.block_on(async {
            let storage = place.open().await;
            let (ready, wait) = oneshot::channel();
            let task = storage.clone();
            let waiting = place.open().await;
            tokio::spawn(async move {
                let mut unit = task.begin().await.expect("begin");
                unit.revisions().append(small()).await.expect("append");
                let head = unit.revisions().head().await.expect("head").revision;
                ready.send(head - 1).expect("tell");
                std::future::pending::<()>().await;
                drop(unit);
            });
            let before = wait.await.expect("the task wrote");
            // Another process, as it were, that waits for the first.
            let mut begin = Box::pin(async move { drop(waiting.begin().await) });
            assert!(poll_once(begin.as_mut()).is_none());
            tokio::spawn(begin);
            before
        });
        runtime.shutdown_timeout(Duration::from_secs(10));

        build().block_on(async {
            let storage = place.open().await;
            assert_eq!(head(&storage).await, before);
            let appended = patiently("a writer after that", append(&storage, small())).await;
            assert_eq!(appended.expect("append").version.revision, before + 1);
        });
    }
}

/// What was cancelled half-way cannot be committed by mistake.
#[tokio::test]
async fn a_cancelled_operation_spoils_its_unit() {
    let place = Place::new();
    let storage = place.open().await;
    let unit = async {
        loop {
            let mut unit = storage.begin().await.expect("begin");
            if poll_once(unit.revisions().append(small())).is_none() {
                return unit;
            }
            // The database was as fast as we; once more.
        }
    };
    let mut unit = patiently("an operation that takes longer than one look", unit).await;
    let error = unit.revisions().append(small()).await.expect_err("spoilt");
    assert!(error.is_retryable(), "{error}");
    let error = unit.commit().await.expect_err("spoilt");
    let text = chain(&error);
    assert!(text.contains("cancelled; begin another unit"), "{text}");
    let appended = patiently("the next writer", append(&storage, small())).await;
    assert_eq!(appended.expect("append").version.revision, 1);
}

/// Looks at a future once, then drops it.
fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A commit that has begun is finished, whether or not somebody waits for it.
#[tokio::test]
async fn a_commit_is_not_cut_short() {
    let place = Place::new();
    let storage = place.open().await;
    for _ in 0..20 {
        let before = head(&storage).await;
        let mut unit = storage.begin().await.expect("begin");
        unit.revisions().append(small()).await.expect("append");
        let looked_at_once = poll_once(unit.commit());
        assert!(looked_at_once.is_none_or(|done| done.is_ok()));
        let appended = patiently("the next writer", append(&storage, small())).await;
        assert_eq!(appended.expect("append").version.revision, before + 2);
    }
}

/// A reader is told so, whatever it tries to write.
#[tokio::test]
async fn a_reader_that_writes_is_told_so() {
    let place = Place::new();
    let storage = place.open().await;
    let mut unit = storage.read().await.expect("begin to read");
    let error = unit.revisions().append(small()).await.expect_err("refused");
    assert!(matches!(error, StorageError::ReadOnly), "{error}");
    let refused = unit.access().remove_expired_tokens(u64::MAX).await;
    assert!(matches!(refused, Err(StorageError::ReadOnly)));
    assert_eq!(unit.revisions().head().await.expect("head").revision, 0);
}

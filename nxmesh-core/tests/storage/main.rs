//! The storage contract: the implementation in memory keeps it, and every
//! saboteur is caught.

#[expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed expectation is a failed test"
)]
mod sabotage;
mod saboteurs;

use async_trait::async_trait;
use nxmesh_core::{memory::MemoryStorage, testkit::storage::Rig};

/// Keeps a clone, so that the state outlives the handle under test; there is
/// no death of the process to survive.
struct InMemory(MemoryStorage);

#[async_trait]
impl Rig for InMemory {
    type Subject = MemoryStorage;

    async fn start() -> (Self, MemoryStorage) {
        let storage = MemoryStorage::new();
        (Self(storage.clone()), storage)
    }

    async fn reopen(&mut self, subject: MemoryStorage) -> MemoryStorage {
        drop(subject);
        self.0.clone()
    }
}

nxmesh_core::storage_conformance!(InMemory);

/// The suite races within one task; this is the same on many threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_on_many_threads_leave_no_holes() {
    use nxmesh_core::{
        contract::storage::{Expected, NewChange, NewRevision, Storage as _},
        model::Resource,
        testkit::sample,
    };
    use std::sync::Arc;

    let storage = MemoryStorage::new();
    let writers: Vec<_> = (0..100)
        .map(|writer| {
            let storage = storage.clone();
            tokio::spawn(async move {
                let resource = Resource::from(sample::upstream(&format!("shop-{writer}")));
                let mut unit = storage.begin().await.unwrap();
                let change = NewChange {
                    key: resource.key(),
                    expected: Expected::Absent,
                    after: Some(Arc::new(resource)),
                };
                let new = NewRevision {
                    workspace: "default".parse().unwrap(),
                    author: "ada".into(),
                    message: String::new(),
                    at: 0,
                    changes: vec![change],
                };
                let revision = unit.revisions().append(new).await.unwrap();
                tokio::task::yield_now().await;
                if writer % 5 == 0 {
                    return None;
                }
                unit.commit().await.unwrap();
                Some(revision.version.revision)
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for writer in writers {
        numbers.extend(writer.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
}

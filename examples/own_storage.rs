//! A storage of one's own: here one that counts what goes through another.
//!
//! The same way a platform puts the master's state into its own database: it
//! implements `Storage` and `UnitOfWork`, and proves them with the suite that
//! the built-in storages pass. `cargo run --example own_storage` does all of
//! that; the tests at the end are what one has in one's own crate.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use nxmesh_core::{
    contract::storage::{
        AccessStore, AgentStore, Expected, NewChange, NewRevision, ResourceStore, RevisionStore,
        Storage, StorageError, UnitOfWork,
    },
    memory::MemoryStorage,
    model::{Resource, value::WorkspaceName},
    testkit::{sample, storage as suite},
};
use nxmesh_master_lib::storage::{AtRestKey, SqlStorage};

/// Counts the units of work of another storage.
#[derive(Debug)]
struct Counted<S> {
    inner: S,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    read: AtomicU64,
    begun: AtomicU64,
    committed: AtomicU64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (begun, committed) = (self.begun.load(Relaxed), self.committed.load(Relaxed));
        let read = self.read.load(Relaxed);
        write!(f, "{begun} begun, {committed} committed, {read} read only")
    }
}

impl<S> Counted<S> {
    fn new(inner: S) -> Self {
        Self {
            inner,
            counts: Arc::default(),
        }
    }
}

// A method that the contract gets later must not slip through uncounted.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Storage> Storage for Counted<S> {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        let inner = self.inner.begin().await?;
        self.counts.begun.fetch_add(1, Relaxed);
        Ok(Box::new(CountedUnit {
            inner,
            counts: Arc::clone(&self.counts),
        }))
    }

    async fn read(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        let inner = self.inner.read().await?;
        self.counts.read.fetch_add(1, Relaxed);
        Ok(inner)
    }
}

#[derive(Debug)]
struct CountedUnit {
    inner: Box<dyn UnitOfWork>,
    counts: Arc<Counts>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl UnitOfWork for CountedUnit {
    fn resources(&mut self) -> &mut dyn ResourceStore {
        self.inner.resources()
    }

    fn revisions(&mut self) -> &mut dyn RevisionStore {
        self.inner.revisions()
    }

    fn agents(&mut self) -> &mut dyn AgentStore {
        self.inner.agents()
    }

    fn access(&mut self) -> &mut dyn AccessStore {
        self.inner.access()
    }

    async fn commit(self: Box<Self>) -> Result<(), StorageError> {
        self.inner.commit().await?;
        self.counts.committed.fetch_add(1, Relaxed);
        Ok(())
    }
}

/// Tells the suite how to make the storage, and how to open its data again.
struct Rig(MemoryStorage);

#[async_trait]
impl suite::Rig for Rig {
    type Subject = Counted<MemoryStorage>;

    async fn start() -> (Self, Self::Subject) {
        let storage = MemoryStorage::new();
        (Self(storage.clone()), Counted::new(storage))
    }

    async fn reopen(&mut self, _: Self::Subject) -> Self::Subject {
        Counted::new(self.0.clone())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Over the storage that the stock master uses, in a folder of its own.
    let folder = tempfile::tempdir()?;
    let key = AtRestKey::load_or_create(&folder.path().join("at-rest.key"))?;
    let url = format!("sqlite://{}/nxmesh.db?mode=rwc", folder.path().display());
    let storage = Counted::new(SqlStorage::connect(&url, &key).await?);

    let shop = Resource::from(sample::upstream("shop"));
    let mut unit = storage.begin().await?;
    let change = NewChange {
        key: shop.key(),
        expected: Expected::Absent,
        after: Some(Arc::new(shop)),
    };
    let revision = NewRevision {
        workspace: WorkspaceName::default(),
        author: "example".to_owned(),
        message: "the first upstream".to_owned(),
        at: 1_700_000_000_000,
        changes: vec![change],
    };
    let revision = unit.revisions().append(revision).await?;
    unit.commit().await?;
    drop(storage.begin().await?);
    println!(
        "revision {} on {}: {}",
        revision.version,
        storage.backend(),
        storage.counts
    );

    // A clause that does not hold panics and says which promise is broken.
    suite::a_dropped_unit_leaves_no_trace::<Rig>().await;
    suite::many_writers_leave_no_holes::<Rig>().await;
    suite::one_of_many_racing_writers_wins::<Rig>().await;
    println!("three clauses of the contract hold; `cargo test --example own_storage` tries all");
    Ok(())
}

#[cfg(test)]
mod conformance {
    use super::Rig;

    nxmesh_core::storage_conformance!(Rig);
}

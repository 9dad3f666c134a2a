//! A storage of one's own: here one that counts what goes through another.
//!
//! The same way a platform puts the master's state into its own database: it
//! implements `Storage` and `UnitOfWork`, proves them with the suite that the
//! built-in storages pass, and hands them to the master's builder. The tests at
//! the end are what one has in one's own crate.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use nxmesh_core::{
    contract::storage::{
        AccessStore, AgentStore, AuditStore, ResourceStore, RevisionStore, Storage, StorageError,
        UnitOfWork,
    },
    memory::MemoryStorage,
    testkit::storage as suite,
};
use nxmesh_master_lib::{
    DataDir, Master, MasterConfig,
    storage::{AtRestKey, SqlStorage},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

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

    fn audit(&mut self) -> &mut dyn AuditStore {
        self.inner.audit()
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
    // A clause that does not hold panics and says which promise is broken.
    suite::a_dropped_unit_leaves_no_trace::<Rig>().await;
    suite::many_writers_leave_no_holes::<Rig>().await;
    suite::one_of_many_racing_writers_wins::<Rig>().await;
    println!("three clauses of the contract hold; cargo test --example own_storage tries all");

    // A master on it, over the storage that the stock master uses.
    let folder = tempfile::tempdir()?;
    let data_dir = DataDir::open(folder.path())?;
    let key = AtRestKey::load_or_create(&data_dir.file("at-rest.key"))?;
    let storage = SqlStorage::connect(&data_dir.sqlite_url(), &key).await?;
    let storage = Arc::new(Counted::new(storage));
    let counts = Arc::clone(&storage.counts);
    Master::builder(data_dir)
        .storage(Arc::clone(&storage) as Arc<dyn Storage>)
        .init("admin".parse()?, "correct horse battery staple".into())
        .await?;
    println!("after the first start: {counts}");

    let mut config = MasterConfig::default();
    config.api_listen = "127.0.0.1:0".parse()?;
    config.agent_listen = "127.0.0.1:0".parse()?;
    let master = Master::builder(DataDir::open(folder.path())?)
        .config(config)
        .storage(storage)
        .build()
        .await?;
    let api = master.addresses().api;
    let stop = CancellationToken::new();
    let running = tokio::spawn(master.run(stop.clone()));
    println!("the master on {api} answers {}", ask(api, "/readyz").await?);
    stop.cancel();
    running.await??;
    println!("after it has run: {counts}");
    Ok(())
}

/// The status line of an answer.
async fn ask(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod conformance {
    use super::Rig;

    nxmesh_core::storage_conformance!(Rig);
}

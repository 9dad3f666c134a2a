//! A storage whose history can be made to have holes.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use nxmesh_core::{
    contract::storage::{
        AccessStore, AgentStore, AuditStore, Head, ListRevisions, NewRevision, ResourceStore,
        Revision, RevisionStore, Storage, StorageError, UnitOfWork,
    },
    memory::MemoryStorage,
    model::Version,
};

/// Memory, but for what is hidden.
#[derive(Debug, Default)]
pub(crate) struct Holey {
    inner: MemoryStorage,
    gaps: Arc<Gaps>,
}

#[derive(Debug, Default)]
struct Gaps {
    hidden: RwLock<Vec<u64>>,
    frozen: AtomicBool,
}

impl Holey {
    /// Leaves a revision out of every list.
    pub(crate) fn hide(&self, revision: u64) {
        let mut hidden = self
            .gaps
            .hidden
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        hidden.push(revision);
    }

    /// Shows an empty history to readers, as a replica that lags.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.gaps.frozen.store(frozen, Ordering::SeqCst);
    }

    fn wrap(&self, inner: Box<dyn UnitOfWork>, reads: bool) -> Box<dyn UnitOfWork> {
        let gaps = Arc::clone(&self.gaps);
        Box::new(Unit { inner, gaps, reads })
    }
}

#[async_trait]
impl Storage for Holey {
    fn backend(&self) -> &'static str {
        "holey"
    }

    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        Ok(self.wrap(self.inner.begin().await?, false))
    }

    async fn read(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        Ok(self.wrap(self.inner.read().await?, true))
    }
}

#[derive(Debug)]
struct Unit {
    inner: Box<dyn UnitOfWork>,
    gaps: Arc<Gaps>,
    reads: bool,
}

#[async_trait]
impl UnitOfWork for Unit {
    fn resources(&mut self) -> &mut dyn ResourceStore {
        self.inner.resources()
    }

    fn revisions(&mut self) -> &mut dyn RevisionStore {
        self
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
        self.inner.commit().await
    }
}

impl Unit {
    fn is_frozen(&self) -> bool {
        self.reads && self.gaps.frozen.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl RevisionStore for Unit {
    async fn head(&mut self) -> Result<Head, StorageError> {
        let head = self.inner.revisions().head().await?;
        let revision = if self.is_frozen() { 0 } else { head.revision };
        Ok(Version { revision, ..head })
    }

    async fn append(&mut self, revision: NewRevision) -> Result<Revision, StorageError> {
        self.inner.revisions().append(revision).await
    }

    async fn get(&mut self, number: u64) -> Result<Option<Revision>, StorageError> {
        self.inner.revisions().get(number).await
    }

    async fn list(&mut self, query: &ListRevisions) -> Result<Vec<Revision>, StorageError> {
        if self.is_frozen() {
            return Ok(Vec::new());
        }
        let mut revisions = self.inner.revisions().list(query).await?;
        let hidden = self
            .gaps
            .hidden
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        revisions.retain(|revision| !hidden.contains(&revision.version.revision));
        Ok(revisions)
    }
}

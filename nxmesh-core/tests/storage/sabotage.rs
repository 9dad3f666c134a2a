//! The storage in memory with one thing broken.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use async_trait::async_trait;
use nxmesh_core::{
    contract::storage::*,
    digest::Digest,
    memory::MemoryStorage,
    model::{
        AgentFacts, AgentId, Resource, ResourceKey, Version,
        value::{UserName, WorkspaceName},
    },
    testkit::sample,
};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every write is visible at once.
    CommitsEarly,
    /// Agents are read past the unit's own writes.
    BlindToItself,
    /// A reading unit looks at the present each time.
    DriftingReader,
    /// A reader is turned away while someone writes.
    ReaderNeedsTheTurn,
    /// A reading unit takes writes and drops them.
    SwallowsWrites,
    /// What was committed is gone after reopening.
    Forgetful,
    /// Numbers are drawn outside the transaction.
    LeavesHoles,
    /// Writers do not take turns.
    Racing,
    /// Expectations are not looked at.
    IgnoresExpectations,
    /// On a conflict the other changes are made.
    AppliesHalf,
    /// Takes change sets that make no sense.
    Sloppy,
    /// The content before a change is not kept.
    ForgetsBefore,
    /// Certificates come back as another.
    SwapsCertificates,
    /// Names are shared by all workspaces.
    OneNamespace,
    /// What is not there is an error.
    AbsenceIsAnError,
    /// Lists are as long as they are.
    IgnoresLimits,
    /// Lists begin with the cursor itself.
    RepeatsTheCursor,
    /// Lists are not ordered.
    Unordered,
    /// Facts about agents are not kept.
    ForgetsFacts,
    /// A user that is replaced is there twice.
    CountsUsersTwice,
    /// A token admits everybody.
    TokenForAll,
    /// A token never expires.
    TokenForever,
    /// The use of a token is kept whatever becomes of the unit.
    TokenOutsideTheUnit,
    /// Audit entries come back without their actor.
    ForgetsActors,
    /// Lists audit entries from one end only.
    OneEndOnly,
    /// Expired tokens are counted, not removed.
    KeepsTokens,
    /// Whoever stores an agent stores its keys.
    PutsKeys,
    /// Keys change whatever they were.
    AnyKeys,
    /// The key on offer is not kept.
    ForgetsOffers,
}

use Fault::*;

#[derive(Debug, Clone)]
pub(crate) struct Sabotaged {
    inner: MemoryStorage,
    fault: Fault,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    drawn: AtomicU64,
    users_put: AtomicU64,
    writing: AtomicBool,
}

impl Sabotaged {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            inner: MemoryStorage::new(),
            fault,
            shared: Arc::default(),
        }
    }
}

fn busy() -> StorageError {
    StorageError::Unavailable {
        backend: "sabotaged",
        action: "take its turn",
        source: "busy".into(),
    }
}

#[async_trait]
impl Storage for Sabotaged {
    fn backend(&self) -> &'static str {
        "sabotaged"
    }

    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        let inner = match self.fault {
            Racing => self.inner.read().await?,
            _ => self.inner.begin().await?,
        };
        self.shared.writing.store(true, SeqCst);
        Ok(Box::new(Unit::new(self, inner, true)))
    }

    async fn read(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        if self.fault == ReaderNeedsTheTurn && self.shared.writing.load(SeqCst) {
            return Err(busy());
        }
        Ok(Box::new(Unit::new(self, self.inner.read().await?, false)))
    }
}

/// What a unit of racing writers does when it commits.
#[derive(Debug)]
enum Late {
    Append(NewRevision),
    UseToken(Digest, TokenOwner, u64),
    Audit(NewAuditEntry),
    Keys(AgentId, AgentKeys),
}

#[derive(Debug)]
struct Unit {
    storage: Sabotaged,
    inner: Option<Box<dyn UnitOfWork>>,
    writes: bool,
    late: Mutex<Vec<Late>>,
}

impl Drop for Unit {
    fn drop(&mut self) {
        if self.writes {
            self.storage.shared.writing.store(false, SeqCst);
        }
    }
}

impl Unit {
    fn new(storage: &Sabotaged, inner: Box<dyn UnitOfWork>, writes: bool) -> Self {
        Self {
            storage: storage.clone(),
            inner: Some(inner),
            writes,
            late: Mutex::default(),
        }
    }

    fn fault(&self) -> Fault {
        self.storage.fault
    }

    async fn inner(&mut self) -> Result<&mut Box<dyn UnitOfWork>, StorageError> {
        if self.fault() == DriftingReader && !self.writes {
            self.inner = Some(self.storage.inner.read().await?);
        }
        Ok(self.inner.as_mut().expect("not committed yet"))
    }

    /// Commits what there is and goes on.
    async fn commit_early(&mut self) -> Result<(), StorageError> {
        if let Some(inner) = self.inner.take() {
            inner.commit().await?;
        }
        self.inner = Some(self.storage.inner.begin().await?);
        Ok(())
    }

    fn rearrange<T>(&self, mut list: Vec<T>) -> Vec<T> {
        if self.fault() == Unordered {
            list.reverse();
        }
        list
    }

    fn limit(&self, limit: Option<u32>) -> Option<u32> {
        limit.filter(|_| self.fault() != IgnoresLimits)
    }

    fn found<T>(&self, found: Option<T>) -> Result<Option<T>, StorageError> {
        if found.is_none() && self.fault() == AbsenceIsAnError {
            return Err(StorageError::Corrupt {
                backend: "sabotaged",
                what: "nothing".to_owned(),
                reason: "not found".to_owned(),
            });
        }
        Ok(found)
    }

    fn spoil(&self, mut revision: Revision) -> Revision {
        if self.fault() == ForgetsBefore {
            for change in &mut revision.changes {
                change.before = None;
            }
        }
        revision
    }
}

#[async_trait]
impl UnitOfWork for Unit {
    fn resources(&mut self) -> &mut dyn ResourceStore {
        self
    }

    fn revisions(&mut self) -> &mut dyn RevisionStore {
        self
    }

    fn agents(&mut self) -> &mut dyn AgentStore {
        self
    }

    fn access(&mut self) -> &mut dyn AccessStore {
        self
    }

    fn audit(&mut self) -> &mut dyn AuditStore {
        self
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StorageError> {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        if late.is_empty() {
            return self.inner.take().expect("not committed yet").commit().await;
        }
        let mut unit = self.storage.inner.begin().await?;
        for write in late {
            match write {
                Late::Append(new) => drop(unit.revisions().append(new).await?),
                Late::Audit(entry) => drop(unit.audit().append(entry).await?),
                Late::Keys(id, keys) => force_keys(&mut *unit, &id, &keys).await?,
                Late::UseToken(digest, owner, now) => {
                    drop(unit.access().use_token(&digest, &owner, now).await?);
                }
            }
        }
        unit.commit().await
    }
}

#[async_trait]
impl ResourceStore for Unit {
    async fn get(
        &mut self,
        workspace: &WorkspaceName,
        key: &ResourceKey,
    ) -> Result<Option<StoredResource>, StorageError> {
        let everyones = WorkspaceName::default();
        let workspace = match self.fault() {
            OneNamespace => &everyones,
            _ => workspace,
        };
        let mut found = self.inner().await?.resources().get(workspace, key).await?;
        if let Some(stored) = &mut found
            && self.fault() == SwapsCertificates
            && matches!(*stored.resource, Resource::Certificate(_))
        {
            let other = sample::other_certificate(key.name.as_str());
            stored.resource = Arc::new(other.into());
        }
        self.found(found)
    }

    async fn list(&mut self, query: &ListResources) -> Result<Vec<StoredResource>, StorageError> {
        let query = ListResources {
            limit: self.limit(query.limit),
            after: query
                .after
                .clone()
                .filter(|_| self.fault() != RepeatsTheCursor),
            ..query.clone()
        };
        let list = self.inner().await?.resources().list(&query).await?;
        Ok(self.rearrange(list))
    }

    async fn workspaces(&mut self) -> Result<Vec<WorkspaceName>, StorageError> {
        self.inner().await?.resources().workspaces().await
    }
}

#[async_trait]
impl RevisionStore for Unit {
    async fn head(&mut self) -> Result<Head, StorageError> {
        self.inner().await?.revisions().head().await
    }

    async fn append(&mut self, mut new: NewRevision) -> Result<Revision, StorageError> {
        match self.fault() {
            IgnoresExpectations => {
                for change in &mut new.changes {
                    change.expected = Expected::Any;
                }
            }
            Sloppy if new.verify().is_err() => {
                return Ok(Revision {
                    version: Version::default(),
                    workspace: new.workspace,
                    author: new.author,
                    message: new.message,
                    at: new.at,
                    changes: Vec::new(),
                });
            }
            Racing => {
                // Looked at in the past, done later, whatever is there then.
                let head = self.head().await?;
                for change in &mut new.changes {
                    let found = self.get_resource(&new.workspace, &change.key).await?;
                    change.verify(found.map(|stored| stored.revision))?;
                    change.expected = Expected::Any;
                }
                let version = Version {
                    revision: head.revision + 1,
                    ..head
                };
                self.late.lock().unwrap().push(Late::Append(new.clone()));
                return Ok(Revision {
                    version,
                    workspace: new.workspace,
                    author: new.author,
                    message: new.message,
                    at: new.at,
                    changes: Vec::new(),
                });
            }
            _ => {}
        }
        let mut appended = self.inner().await?.revisions().append(new.clone()).await;
        if appended.is_err() && self.fault() == AppliesHalf {
            for change in new.changes.clone() {
                let half = NewRevision {
                    changes: vec![change],
                    ..new.clone()
                };
                drop(self.inner().await?.revisions().append(half).await);
            }
        }
        if let Ok(revision) = &mut appended
            && self.fault() == LeavesHoles
        {
            revision.version.revision = self.storage.shared.drawn.fetch_add(1, SeqCst) + 1;
        }
        if self.fault() == CommitsEarly {
            self.commit_early().await?;
        }
        appended.map(|revision| self.spoil(revision))
    }

    async fn get(&mut self, number: u64) -> Result<Option<Revision>, StorageError> {
        let found = self.inner().await?.revisions().get(number).await?;
        let found = self.found(found)?;
        Ok(found.map(|revision| self.spoil(revision)))
    }

    async fn list(&mut self, query: &ListRevisions) -> Result<Vec<Revision>, StorageError> {
        let query = ListRevisions {
            after: query
                .after
                .saturating_sub(u64::from(self.fault() == RepeatsTheCursor)),
            limit: self.limit(Some(query.limit)).unwrap_or(u32::MAX),
            ..query.clone()
        };
        let list = self.inner().await?.revisions().list(&query).await?;
        Ok(self.rearrange(list))
    }
}

impl Unit {
    async fn get_resource(
        &mut self,
        workspace: &WorkspaceName,
        key: &ResourceKey,
    ) -> Result<Option<StoredResource>, StorageError> {
        ResourceStore::get(self, workspace, key).await
    }
}

#[async_trait]
impl AgentStore for Unit {
    async fn get(&mut self, id: &AgentId) -> Result<Option<AgentRecord>, StorageError> {
        let mut found = match self.fault() {
            BlindToItself => self.storage.inner.read().await?.agents().get(id).await?,
            _ => self.inner().await?.agents().get(id).await?,
        };
        if let Some(agent) = &mut found
            && self.fault() == ForgetsFacts
        {
            agent.facts = AgentFacts::default();
        }
        if let Some(agent) = &mut found
            && self.fault() == ForgetsOffers
        {
            agent.keys.secondary = None;
        }
        self.found(found)
    }

    async fn list(&mut self, query: &ListAgents) -> Result<Vec<AgentRecord>, StorageError> {
        let query = ListAgents {
            limit: self.limit(query.limit),
            after: query
                .after
                .clone()
                .filter(|_| self.fault() != RepeatsTheCursor),
            ..query.clone()
        };
        let list = self.inner().await?.agents().list(&query).await?;
        Ok(self.rearrange(list))
    }

    async fn put(&mut self, agent: &AgentRecord) -> Result<(), StorageError> {
        if self.fault() == SwallowsWrites && !self.writes {
            return Ok(());
        }
        self.inner().await?.agents().put(agent).await?;
        if self.fault() == PutsKeys {
            force_keys(&mut **self.inner().await?, &agent.id, &agent.keys).await?;
        }
        Ok(())
    }

    async fn change_keys(
        &mut self,
        id: &AgentId,
        expected: &AgentKeys,
        keys: &AgentKeys,
    ) -> Result<(), StorageError> {
        if self.fault() == AnyKeys {
            return force_keys(&mut **self.inner().await?, id, keys).await;
        }
        if self.fault() == Racing {
            // Looked at in the past, done later, whatever is there then.
            let late = Late::Keys(id.clone(), keys.clone());
            self.late.lock().unwrap().push(late);
            let mut unit = self.storage.inner.begin().await?;
            return unit.agents().change_keys(id, expected, keys).await;
        }
        let agents = self.inner().await?.agents();
        agents.change_keys(id, expected, keys).await?;
        if self.fault() == CommitsEarly {
            self.commit_early().await?;
        }
        Ok(())
    }

    async fn remove(&mut self, id: &AgentId) -> Result<bool, StorageError> {
        self.inner().await?.agents().remove(id).await
    }
}

async fn force_keys(
    unit: &mut dyn UnitOfWork,
    id: &AgentId,
    keys: &AgentKeys,
) -> Result<(), StorageError> {
    match unit.agents().get(id).await? {
        Some(found) => unit.agents().change_keys(id, &found.keys, keys).await,
        None => Ok(()),
    }
}

#[async_trait]
impl AccessStore for Unit {
    async fn user(&mut self, name: &UserName) -> Result<Option<User>, StorageError> {
        let found = self.inner().await?.access().user(name).await?;
        self.found(found)
    }

    async fn user_count(&mut self) -> Result<u64, StorageError> {
        if self.fault() == CountsUsersTwice {
            return Ok(self.storage.shared.users_put.load(SeqCst));
        }
        self.inner().await?.access().user_count().await
    }

    async fn put_user(&mut self, user: &User) -> Result<(), StorageError> {
        self.storage.shared.users_put.fetch_add(1, SeqCst);
        self.inner().await?.access().put_user(user).await
    }

    async fn add_token(&mut self, token: &BootstrapToken) -> Result<(), StorageError> {
        if self.fault() == Racing {
            let mut unit = self.storage.inner.begin().await?;
            unit.access().add_token(token).await?;
            return unit.commit().await;
        }
        self.inner().await?.access().add_token(token).await
    }

    async fn use_token(
        &mut self,
        digest: &Digest,
        owner: &TokenOwner,
        now: u64,
    ) -> Result<TokenUse, StorageError> {
        let now = match self.fault() {
            TokenForever => 0,
            _ => now,
        };
        if self.fault() == Racing {
            let late = Late::UseToken(*digest, owner.clone(), now);
            self.late.lock().unwrap().push(late);
            let mut unit = self.storage.inner.begin().await?;
            return unit.access().use_token(digest, owner, now).await;
        }
        let used = self
            .inner()
            .await?
            .access()
            .use_token(digest, owner, now)
            .await?;
        if self.fault() == TokenOutsideTheUnit {
            self.commit_early().await?;
        }
        Ok(match used {
            TokenUse::UsedByAnother if self.fault() == TokenForAll => {
                TokenUse::Fresh(sample::bootstrap_token("anyone"))
            }
            other => other,
        })
    }

    async fn remove_expired_tokens(&mut self, now: u64) -> Result<u64, StorageError> {
        if self.fault() == KeepsTokens {
            return Ok(2);
        }
        self.inner()
            .await?
            .access()
            .remove_expired_tokens(now)
            .await
    }
}

#[async_trait]
impl AuditStore for Unit {
    async fn append(&mut self, entry: NewAuditEntry) -> Result<AuditEntry, StorageError> {
        if self.fault() == Racing {
            let late = Late::Audit(entry.clone());
            self.late.lock().unwrap().push(late);
            let mut unit = self.storage.inner.begin().await?;
            return unit.audit().append(entry).await;
        }
        let appended = self.inner().await?.audit().append(entry).await;
        if self.fault() == CommitsEarly {
            self.commit_early().await?;
        }
        appended
    }

    async fn list(&mut self, query: &ListAudit) -> Result<Vec<AuditEntry>, StorageError> {
        let query = ListAudit {
            after: query
                .after
                .saturating_sub(u64::from(self.fault() == RepeatsTheCursor)),
            limit: self.limit(Some(query.limit)).unwrap_or(u32::MAX),
            newest_first: query.newest_first && self.fault() != OneEndOnly,
            ..query.clone()
        };
        let mut list = self.inner().await?.audit().list(&query).await?;
        if self.fault() == ForgetsActors {
            for recorded in &mut list {
                recorded.entry.actor.clear();
            }
        }
        Ok(self.rearrange(list))
    }
}

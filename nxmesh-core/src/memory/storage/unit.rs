//! One unit of work: a copy of the state that replaces it at commit.

use std::{
    fmt,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use async_trait::async_trait;
use futures_util::lock::OwnedMutexGuard;

use super::{Shared, state::State};
use crate::{
    contract::storage::{
        AccessStore, AgentKeys, AgentRecord, AgentStore, AuditEntry, AuditStore, BootstrapToken,
        Head, ListAgents, ListAudit, ListResources, ListRevisions, NewAuditEntry, NewRevision,
        ResourceStore, Revision, RevisionStore, StorageError, StoredResource, TokenOwner, TokenUse,
        UnitOfWork, User, keys_of,
    },
    digest::Digest,
    model::{
        AgentId, ResourceKey,
        value::{UserName, WorkspaceName},
    },
};

pub(super) enum Access {
    Read,
    Write {
        shared: Arc<Shared>,
        _turn: OwnedMutexGuard<()>,
    },
}

pub(super) struct MemoryUnit {
    state: State,
    access: Access,
}

impl MemoryUnit {
    pub(super) const fn new(state: State, access: Access) -> Self {
        Self { state, access }
    }

    fn writable(&mut self) -> Result<&mut State, StorageError> {
        match self.access {
            Access::Read => Err(StorageError::ReadOnly),
            Access::Write { .. } => Ok(&mut self.state),
        }
    }
}

impl fmt::Debug for MemoryUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryUnit")
            .field("head", &self.state.head())
            .field("writes", &matches!(self.access, Access::Write { .. }))
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl UnitOfWork for MemoryUnit {
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

    async fn commit(self: Box<Self>) -> Result<(), StorageError> {
        if let Access::Write { shared, _turn } = self.access {
            shared.replace(self.state);
        }
        Ok(())
    }
}

fn at_most<T>(limit: Option<u32>, items: impl Iterator<Item = T>) -> Vec<T> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    items.take(limit).collect()
}

#[async_trait]
impl ResourceStore for MemoryUnit {
    async fn get(
        &mut self,
        workspace: &WorkspaceName,
        key: &ResourceKey,
    ) -> Result<Option<StoredResource>, StorageError> {
        Ok(self.state.resource(workspace, key).cloned())
    }

    async fn list(&mut self, query: &ListResources) -> Result<Vec<StoredResource>, StorageError> {
        let Some(documents) = self.state.resources.get(&query.workspace) else {
            return Ok(Vec::new());
        };
        let wanted = documents.iter().filter(|(key, _)| {
            query.kind.is_none_or(|kind| {
                key.kind == kind && query.after.as_ref().is_none_or(|after| key.name > *after)
            })
        });
        Ok(at_most(
            query.limit,
            wanted.map(|(_, stored)| stored.clone()),
        ))
    }

    async fn workspaces(&mut self) -> Result<Vec<WorkspaceName>, StorageError> {
        Ok(self.state.resources.keys().cloned().collect())
    }
}

#[async_trait]
impl RevisionStore for MemoryUnit {
    async fn head(&mut self) -> Result<Head, StorageError> {
        Ok(self.state.head())
    }

    async fn append(&mut self, revision: NewRevision) -> Result<Revision, StorageError> {
        self.writable()?.append(revision)
    }

    async fn get(&mut self, number: u64) -> Result<Option<Revision>, StorageError> {
        let found = usize::try_from(number)
            .ok()
            .and_then(|number| self.state.revisions.get(number.checked_sub(1)?));
        Ok(found.map(|revision| Revision::clone(revision)))
    }

    async fn list(&mut self, query: &ListRevisions) -> Result<Vec<Revision>, StorageError> {
        let skip = usize::try_from(query.after).unwrap_or(usize::MAX);
        let wanted = self
            .state
            .revisions
            .iter()
            .skip(skip)
            .filter(|revision| {
                query
                    .workspace
                    .as_ref()
                    .is_none_or(|workspace| revision.workspace == *workspace)
            })
            .map(|revision| Revision::clone(revision));
        Ok(at_most(Some(query.limit), wanted))
    }
}

#[async_trait]
impl AgentStore for MemoryUnit {
    async fn get(&mut self, id: &AgentId) -> Result<Option<AgentRecord>, StorageError> {
        Ok(self
            .state
            .agents
            .get(id)
            .map(|agent| AgentRecord::clone(agent)))
    }

    async fn list(&mut self, query: &ListAgents) -> Result<Vec<AgentRecord>, StorageError> {
        let start = query.after.as_ref().map_or(Unbounded, Excluded);
        let wanted = self
            .state
            .agents
            .range::<AgentId, _>((start, Unbounded))
            .map(|(_, agent)| agent)
            .filter(|agent| {
                query
                    .workspace
                    .as_ref()
                    .is_none_or(|workspace| agent.workspace == *workspace)
            })
            .map(|agent| AgentRecord::clone(agent));
        Ok(at_most(query.limit, wanted))
    }

    async fn put(&mut self, agent: &AgentRecord) -> Result<(), StorageError> {
        let agents = Arc::make_mut(&mut self.writable()?.agents);
        let mut agent = agent.clone();
        if let Some(known) = agents.get(&agent.id) {
            agent.keys.clone_from(&known.keys);
        }
        agents.insert(agent.id.clone(), Arc::new(agent));
        Ok(())
    }

    async fn change_keys(
        &mut self,
        id: &AgentId,
        expected: &AgentKeys,
        keys: &AgentKeys,
    ) -> Result<(), StorageError> {
        let agents = Arc::make_mut(&mut self.writable()?.agents);
        let Some(agent) = agents.get_mut(id) else {
            return Err(StorageError::Conflict {
                what: keys_of(id),
                expected: expected.to_string(),
                found: "no such agent".to_owned(),
            });
        };
        agent.keys.verify(id, expected)?;
        Arc::make_mut(agent).keys.clone_from(keys);
        Ok(())
    }

    async fn remove(&mut self, id: &AgentId) -> Result<bool, StorageError> {
        let agents = Arc::make_mut(&mut self.writable()?.agents);
        Ok(agents.remove(id).is_some())
    }
}

#[async_trait]
impl AccessStore for MemoryUnit {
    async fn user(&mut self, name: &UserName) -> Result<Option<User>, StorageError> {
        Ok(self.state.users.get(name).cloned())
    }

    async fn user_count(&mut self) -> Result<u64, StorageError> {
        Ok(self.state.users.len() as u64)
    }

    async fn put_user(&mut self, user: &User) -> Result<(), StorageError> {
        Arc::make_mut(&mut self.writable()?.users).insert(user.name.clone(), user.clone());
        Ok(())
    }

    async fn add_token(&mut self, token: &BootstrapToken) -> Result<(), StorageError> {
        let tokens = Arc::make_mut(&mut self.writable()?.tokens);
        if tokens.contains_key(&token.digest) {
            return Err(StorageError::Conflict {
                what: "bootstrap token".to_owned(),
                expected: "absent".to_owned(),
                found: "present".to_owned(),
            });
        }
        tokens.insert(token.digest, token.clone());
        Ok(())
    }

    async fn use_token(
        &mut self,
        digest: &Digest,
        owner: &TokenOwner,
        now: u64,
    ) -> Result<TokenUse, StorageError> {
        Ok(self.writable()?.use_token(digest, owner, now))
    }

    async fn remove_expired_tokens(&mut self, now: u64) -> Result<u64, StorageError> {
        let tokens = Arc::make_mut(&mut self.writable()?.tokens);
        let before = tokens.len();
        tokens.retain(|_, token| token.expires_at >= now);
        Ok((before - tokens.len()) as u64)
    }
}

#[async_trait]
impl AuditStore for MemoryUnit {
    async fn append(&mut self, entry: NewAuditEntry) -> Result<AuditEntry, StorageError> {
        let log = Arc::make_mut(&mut self.writable()?.audit);
        let number = log.len() as u64 + 1;
        let entry = AuditEntry { number, entry };
        log.push(Arc::new(entry.clone()));
        Ok(entry)
    }

    async fn list(&mut self, query: &ListAudit) -> Result<Vec<AuditEntry>, StorageError> {
        let log = &self.state.audit;
        let number = usize::try_from(query.after).unwrap_or(usize::MAX);
        // The entry with number n is the nth.
        let (below, above) = (
            number.saturating_sub(1).min(log.len()),
            number.min(log.len()),
        );
        let (mut rising, mut falling) = (log[above..].iter(), log[..below].iter().rev());
        let entries: &mut (dyn Iterator<Item = &Arc<AuditEntry>> + Send) = match query.newest_first
        {
            true => &mut falling,
            false => &mut rising,
        };
        let wanted =
            entries.filter(|it| query.workspace.is_none() || it.entry.workspace == query.workspace);
        Ok(at_most(
            Some(query.limit),
            wanted.map(|entry| AuditEntry::clone(entry)),
        ))
    }
}

//! Everything that is stored, as one value that is cheap to clone.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    contract::storage::{
        AgentRecord, AuditEntry, BootstrapToken, Head, NewRevision, ResourceChange, Revision,
        StorageError, StoredResource, TokenOwner, TokenUse, User,
    },
    digest::Digest,
    model::{
        AgentId, ResourceKey, Version,
        value::{UserName, WorkspaceName},
    },
};

/// Kind and name of the resources of one workspace.
pub(super) type Documents = BTreeMap<ResourceKey, StoredResource>;

/// Clones share their parts; a part is copied when it changes.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) resources: Arc<BTreeMap<WorkspaceName, Arc<Documents>>>,
    /// Number 1 stands first.
    pub(super) revisions: Arc<Vec<Arc<Revision>>>,
    pub(super) agents: Arc<BTreeMap<AgentId, Arc<AgentRecord>>>,
    pub(super) users: Arc<BTreeMap<UserName, User>>,
    pub(super) tokens: Arc<BTreeMap<Digest, BootstrapToken>>,
    /// Number 1 stands first.
    pub(super) audit: Arc<Vec<Arc<AuditEntry>>>,
}

impl State {
    pub(super) fn head(&self) -> Head {
        Version {
            epoch: 1,
            revision: self.revisions.len() as u64,
        }
    }

    pub(super) fn resource(
        &self,
        workspace: &WorkspaceName,
        key: &ResourceKey,
    ) -> Option<&StoredResource> {
        self.resources.get(workspace)?.get(key)
    }

    pub(super) fn append(&mut self, new: NewRevision) -> Result<Revision, StorageError> {
        new.verify()?;
        for change in &new.changes {
            let found = self.resource(&new.workspace, &change.key);
            change.verify(found.map(|stored| stored.revision))?;
        }
        // From here on nothing fails.
        let version = Version {
            revision: self.head().revision + 1,
            ..self.head()
        };
        let workspaces = Arc::make_mut(&mut self.resources);
        let documents = Arc::make_mut(workspaces.entry(new.workspace.clone()).or_default());
        let mut changes: Vec<ResourceChange> = new
            .changes
            .into_iter()
            .map(|change| {
                let before = match &change.after {
                    Some(resource) => documents.insert(
                        change.key.clone(),
                        StoredResource {
                            revision: version.revision,
                            resource: Arc::clone(resource),
                        },
                    ),
                    None => documents.remove(&change.key),
                };
                ResourceChange {
                    key: change.key,
                    before: before.map(|stored| stored.resource),
                    after: change.after,
                }
            })
            .collect();
        changes.sort_by(|one, other| one.key.cmp(&other.key));
        if documents.is_empty() {
            workspaces.remove(&new.workspace);
        }
        let revision = Revision {
            version,
            workspace: new.workspace,
            author: new.author,
            message: new.message,
            at: new.at,
            changes,
        };
        Arc::make_mut(&mut self.revisions).push(Arc::new(revision.clone()));
        Ok(revision)
    }

    pub(super) fn use_token(&mut self, digest: &Digest, owner: &TokenOwner, now: u64) -> TokenUse {
        let Some(token) = self.tokens.get(digest) else {
            return TokenUse::Unknown;
        };
        if token.expires_at <= now {
            return TokenUse::Expired;
        }
        match &token.used_by {
            Some(user) if user.install_id == owner.install_id => TokenUse::Again(token.clone()),
            Some(_) => TokenUse::UsedByAnother,
            None => {
                let used = BootstrapToken {
                    used_by: Some(owner.clone()),
                    ..token.clone()
                };
                Arc::make_mut(&mut self.tokens).insert(*digest, used.clone());
                TokenUse::Fresh(used)
            }
        }
    }
}

//! A workspace as a unit of work sees it, without reading all of it each time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use nxmesh_core::{
    contract::storage::{
        ListResources, ListRevisions, Revision, StorageError, StoredResource, UnitOfWork,
    },
    model::{ResourceKey, ResourceSet, Version, value::WorkspaceName},
};

/// Revisions that are worth following one by one; beyond, everything is read.
const MOST_FOLLOWED: u32 = 200;

/// What workspaces were at some version. A pure function of the history, so it
/// can be late but never wrong.
#[derive(Debug, Default)]
pub(super) struct Current(Mutex<HashMap<WorkspaceName, Arc<Workspace>>>);

/// A workspace at one version.
#[derive(Debug, Clone)]
pub(super) struct Workspace {
    version: Version,
    resources: ResourceSet,
    /// The revision that made each resource what it is.
    revisions: HashMap<ResourceKey, u64>,
}

impl Workspace {
    pub(super) const fn resources(&self) -> &ResourceSet {
        &self.resources
    }

    /// A resource as it is stored.
    pub(super) fn stored(&self, key: &ResourceKey) -> Option<StoredResource> {
        Some(StoredResource {
            revision: *self.revisions.get(key)?,
            resource: Arc::clone(self.resources.get(key)?),
        })
    }

    /// Takes in the next revision of it.
    fn advance(&mut self, revision: Revision) {
        self.version = revision.version;
        for change in revision.changes {
            match change.after {
                Some(resource) => {
                    self.resources.insert(resource);
                    self.revisions.insert(change.key, revision.version.revision);
                }
                None => {
                    self.resources.remove(&change.key);
                    self.revisions.remove(&change.key);
                }
            }
        }
    }
}

impl Current {
    /// A workspace at the point in time of `unit`.
    pub(super) async fn of(
        &self,
        unit: &mut dyn UnitOfWork,
        name: &WorkspaceName,
    ) -> Result<Arc<Workspace>, StorageError> {
        let head = unit.revisions().head().await?;
        let known = self.lock().get(name).map(Arc::clone);
        if let Some(known) = known
            && let Some(workspace) = follow(unit, name, known, head).await?
        {
            return Ok(workspace);
        }
        let stored = unit.resources().list(&everything(name)).await?;
        let revisions = stored.iter().map(|it| (it.resource.key(), it.revision));
        let workspace = Arc::new(Workspace {
            version: head,
            revisions: revisions.collect(),
            resources: stored.into_iter().map(|it| it.resource).collect(),
        });
        self.keep(name, Arc::clone(&workspace));
        Ok(workspace)
    }

    /// Keeps what a revision that was just stored made of a workspace.
    pub(super) fn note(&self, before: Arc<Workspace>, revision: Revision) {
        let name = revision.workspace.clone();
        let mut workspace = Arc::unwrap_or_clone(before);
        workspace.advance(revision);
        self.keep(&name, Arc::new(workspace));
    }

    /// Keeps a workspace, unless a later version of it is kept.
    fn keep(&self, name: &WorkspaceName, workspace: Arc<Workspace>) {
        let mut known = self.lock();
        let late = known
            .get(name)
            .is_some_and(|known| known.version >= workspace.version);
        if !late {
            known.insert(name.clone(), workspace);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WorkspaceName, Arc<Workspace>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The query for all resources of a workspace.
fn everything(workspace: &WorkspaceName) -> ListResources {
    ListResources {
        workspace: workspace.clone(),
        kind: None,
        after: None,
        limit: None,
    }
}

/// Brings a workspace to `head`; `None` if that takes a look at everything.
async fn follow(
    unit: &mut dyn UnitOfWork,
    name: &WorkspaceName,
    known: Arc<Workspace>,
    head: Version,
) -> Result<Option<Arc<Workspace>>, StorageError> {
    let at = known.version;
    let missing = head.revision.checked_sub(at.revision);
    let few = missing.filter(|missing| *missing <= u64::from(MOST_FOLLOWED));
    if at.epoch != head.epoch || few.is_none() {
        return Ok(None);
    }
    if at == head {
        return Ok(Some(known));
    }
    let query = ListRevisions {
        workspace: None,
        after: at.revision,
        limit: MOST_FOLLOWED,
    };
    let revisions = unit.revisions().list(&query).await?;
    if Some(revisions.len() as u64) != missing {
        return Ok(None);
    }
    let mut workspace = Arc::unwrap_or_clone(known);
    for revision in revisions {
        if revision.workspace == *name {
            workspace.advance(revision);
        }
    }
    workspace.version = head;
    Ok(Some(Arc::new(workspace)))
}

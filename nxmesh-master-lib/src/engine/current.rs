//! A workspace as a unit of work sees it, without reading all of it each time.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use nxmesh_core::{
    contract::storage::{ListRevisions, StorageError, UnitOfWork},
    model::{ResourceSet, Version, value::WorkspaceName},
};

use super::everything;

/// Revisions that are worth following one by one; beyond, everything is read.
const MOST_FOLLOWED: u32 = 200;

/// What workspaces were at some version. A pure function of the history, so it
/// can be late but never wrong.
#[derive(Debug, Default)]
pub(super) struct Current(Mutex<HashMap<WorkspaceName, (Version, ResourceSet)>>);

impl Current {
    /// The resources of a workspace, at the point in time of `unit`.
    pub(super) async fn of(
        &self,
        unit: &mut dyn UnitOfWork,
        workspace: &WorkspaceName,
    ) -> Result<(Version, ResourceSet), StorageError> {
        let head = unit.revisions().head().await?;
        let known = self.lock().get(workspace).cloned();
        if let Some((at, resources)) = known
            && let Some(resources) = follow(unit, workspace, at, head, resources).await?
        {
            return Ok((head, resources));
        }
        let stored = unit.resources().list(&everything(workspace)).await?;
        let resources: ResourceSet = stored.into_iter().map(|it| it.resource).collect();
        self.note(workspace, head, &resources);
        Ok((head, resources))
    }

    /// Keeps what a workspace is at `version`, unless a later one is kept.
    pub(super) fn note(
        &self,
        workspace: &WorkspaceName,
        version: Version,
        resources: &ResourceSet,
    ) {
        let mut known = self.lock();
        let late = known.get(workspace).is_some_and(|(at, _)| *at >= version);
        if !late {
            known.insert(workspace.clone(), (version, resources.clone()));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WorkspaceName, (Version, ResourceSet)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings `resources` from version `at` to `head`; `None` if that takes a look
/// at everything.
async fn follow(
    unit: &mut dyn UnitOfWork,
    workspace: &WorkspaceName,
    at: Version,
    head: Version,
    mut resources: ResourceSet,
) -> Result<Option<ResourceSet>, StorageError> {
    let missing = head.revision.checked_sub(at.revision);
    let few = missing.filter(|missing| *missing <= u64::from(MOST_FOLLOWED));
    if at.epoch != head.epoch || few.is_none() {
        return Ok(None);
    }
    if at == head {
        return Ok(Some(resources));
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
    for revision in revisions {
        if revision.workspace != *workspace {
            continue;
        }
        for change in revision.changes {
            match change.after {
                Some(resource) => resources.insert(resource),
                None => resources.remove(&change.key),
            };
        }
    }
    Ok(Some(resources))
}

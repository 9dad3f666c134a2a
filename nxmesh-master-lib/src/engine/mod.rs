//! The desired state: what may be stored, and storing it.
//!
//! A write is checked as a whole against the workspace it would make, committed
//! as one revision and only then announced. Callers parse; the engine decides.

mod certificate;
mod change;
mod current;
mod error;
mod plan;
mod preview;

use std::{collections::BTreeSet, sync::Arc};

use nxmesh_core::{
    contract::{
        clock::Clock,
        event_bus::{Event, EventBus},
        renderer::Renderer,
        storage::{
            Expected, ListResources, ListRevisions, NewRevision, Revision, Storage, StorageError,
            StoredResource, UnitOfWork,
        },
    },
    model::{Resource, ResourceKey, value::WorkspaceName},
    snippet::SnippetPolicy,
};
use tracing::{info, warn};

pub use change::{DesiredChange, WriteRequest, Written};
pub use error::EngineError;
pub use preview::Preview;

use crate::coordination::Fleet;
use current::{Current, Workspace};
use plan::{Plan, Rules};

/// Checks and commits changes of the desired state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    storage: Arc<dyn Storage>,
    bus: Arc<dyn EventBus>,
    clock: Arc<dyn Clock>,
    renderer: Arc<dyn Renderer>,
    fleet: Fleet,
    current: Arc<Current>,
    snippets: Arc<SnippetPolicy>,
}

/// Attempts at a write that others race with.
const MOST_ATTEMPTS: u32 = 5;

/// Why an attempt at a write failed.
#[derive(Debug)]
enum Failed {
    /// Another writer came between looking and storing; look again.
    Raced(StorageError),
    /// For a reason that stays.
    For(EngineError),
}

impl From<StorageError> for Failed {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Conflict { .. } => Self::Raced(error),
            other => Self::For(other.into()),
        }
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        Self::For(error)
    }
}

impl Engine {
    /// Puts an engine together. `renderer` renders changed hosts on trial, so
    /// that what no agent could render is not stored.
    #[must_use]
    pub fn new(
        storage: Arc<dyn Storage>,
        bus: Arc<dyn EventBus>,
        clock: Arc<dyn Clock>,
        renderer: Arc<dyn Renderer>,
        fleet: Fleet,
    ) -> Self {
        Self {
            storage,
            bus,
            clock,
            renderer,
            fleet,
            current: Arc::default(),
            snippets: Arc::default(),
        }
    }

    /// What snippets may say beside the built-in rules. Default: nothing more.
    #[must_use]
    pub fn with_snippet_policy(mut self, policy: Arc<SnippetPolicy>) -> Self {
        self.snippets = policy;
        self
    }

    /// Makes one revision of the changes, and announces it. Documents that are
    /// there already with the same content make no change; if none is left,
    /// nothing is stored.
    ///
    /// # Errors
    ///
    /// [`EngineError`]; nothing was stored.
    pub async fn write(&self, request: WriteRequest) -> Result<Written, EngineError> {
        let mut attempts = 1;
        loop {
            match self.attempt(&request).await {
                Err(Failed::Raced(_)) if attempts < MOST_ATTEMPTS => attempts += 1,
                Err(Failed::Raced(error)) => return Err(error.into()),
                Err(Failed::For(error)) => return Err(error),
                Ok(written) => return Ok(written),
            }
        }
    }

    /// Makes a new revision with the content from before `revision`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Conflict`] names the resources that later revisions
    /// touched; [`EngineError::NotFound`] if there is no such revision in the
    /// workspace; otherwise as [`write`](Self::write).
    pub async fn undo(
        &self,
        workspace: WorkspaceName,
        revision: u64,
        author: String,
        message: String,
        dry_run: bool,
    ) -> Result<Written, EngineError> {
        let undone = self.revision(&workspace, revision).await?;
        let mut unit = self.storage.read().await?;
        let mut changes = Vec::new();
        let mut touched = Vec::new();
        let deleted: BTreeSet<ResourceKey> = undone
            .changes
            .iter()
            .filter(|change| change.after.is_none())
            .map(|change| change.key.clone())
            .collect();
        if let Some((key, later)) =
            changed_since(&mut *unit, &workspace, revision, &deleted).await?
        {
            touched.push(format!("{key} by revision {later}"));
        }
        for change in undone.changes {
            let stored = unit.resources().get(&workspace, &change.key).await?;
            let now = stored.map(|stored| stored.revision);
            if now != change.after.is_some().then_some(revision) {
                touched.push(match now {
                    Some(later) => format!("{} by revision {later}", change.key),
                    None => format!("{}, which was deleted", change.key),
                });
            }
            changes.push(DesiredChange {
                expected: now.map_or(Expected::Absent, Expected::Revision),
                key: change.key,
                after: change.before,
            });
        }
        drop(unit);
        if !touched.is_empty() {
            return Err(EngineError::Conflict {
                what: format!("revision {revision}"),
                expected: "no later change of its resources".to_owned(),
                found: format!("later changes of {}", touched.join("; ")),
            });
        }
        let message = if message.is_empty() {
            format!("undo revision {revision}")
        } else {
            message
        };
        self.write(WriteRequest {
            workspace,
            author,
            message,
            changes,
            dry_run,
        })
        .await
    }

    async fn attempt(&self, request: &WriteRequest) -> Result<Written, Failed> {
        let mut unit = if request.dry_run {
            self.storage.read().await?
        } else {
            self.storage.begin().await?
        };
        let workspace = &request.workspace;
        let before = self.current.of(&mut *unit, workspace).await?;
        let plan = self.plan(request, &before)?;
        let mut written = Written {
            version: None,
            agents: self.fleet.chosen(workspace, &plan.selectors),
            concerned: self.fleet.chosen(workspace, &plan.concerned),
            warnings: plan.warnings,
            changes: plan.summaries,
        };
        for resource in &plan.choosing {
            written
                .warnings
                .extend(self.unselected(workspace, resource));
        }
        if plan.changes.is_empty() || request.dry_run {
            return Ok(written);
        }
        let revision = NewRevision {
            workspace: workspace.clone(),
            author: request.author.clone(),
            message: request.message.clone(),
            at: self.clock.unix_millis(),
            changes: plan.changes,
        };
        let revision = unit.revisions().append(revision).await?;
        unit.commit().await?;
        let version = revision.version;
        self.current.note(before, revision);
        info!(%version, %workspace, author = request.author, agents = written.agents.len(), "revision committed");
        if let Err(error) = self.bus.publish(Event::HeadAtLeast(version.revision)).await {
            warn!(%error, "a revision was not announced; polling finds it");
        }
        written.version = Some(version);
        Ok(written)
    }

    fn plan(&self, request: &WriteRequest, before: &Workspace) -> Result<Plan, EngineError> {
        let rules = Rules {
            renderer: &*self.renderer,
            snippets: &self.snippets,
            now: self.clock.now(),
        };
        plan::plan(request, before, &rules)
    }

    /// The warning that a resource chooses no agent, if it does not.
    fn unselected(&self, workspace: &WorkspaceName, resource: &Resource) -> Option<String> {
        let selector = resource.selector()?;
        let chosen = self.fleet.chosen(workspace, std::slice::from_ref(selector));
        chosen.is_empty().then(|| {
            let key = resource.key();
            if selector.requirements().is_empty() {
                format!("{key} is served by no agent: workspace {workspace} has none")
            } else {
                format!("{key} is served by no agent: none matches {selector}")
            }
        })
    }

    /// Looks a resource up.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotFound`] and [`EngineError::Storage`]
    pub async fn resource(
        &self,
        workspace: &WorkspaceName,
        key: &ResourceKey,
    ) -> Result<StoredResource, EngineError> {
        let mut unit = self.storage.read().await?;
        let found = unit.resources().get(workspace, key).await?;
        found.ok_or_else(|| EngineError::NotFound {
            what: format!("{key} in workspace {workspace}"),
        })
    }

    /// Lists resources.
    ///
    /// # Errors
    ///
    /// [`EngineError::Storage`]
    pub async fn resources(
        &self,
        query: &ListResources,
    ) -> Result<Vec<StoredResource>, EngineError> {
        Ok(self.storage.read().await?.resources().list(query).await?)
    }

    /// Looks a revision of a workspace up.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotFound`] and [`EngineError::Storage`]
    pub async fn revision(
        &self,
        workspace: &WorkspaceName,
        number: u64,
    ) -> Result<Revision, EngineError> {
        let mut unit = self.storage.read().await?;
        let found = unit.revisions().get(number).await?;
        found
            .filter(|revision| revision.workspace == *workspace)
            .ok_or_else(|| EngineError::NotFound {
                what: format!("revision {number} in workspace {workspace}"),
            })
    }

    /// Lists revisions, oldest first.
    ///
    /// # Errors
    ///
    /// [`EngineError::Storage`]
    pub async fn revisions(&self, query: &ListRevisions) -> Result<Vec<Revision>, EngineError> {
        Ok(self.storage.read().await?.revisions().list(query).await?)
    }
}

/// The first of `keys` that a revision after `revision` changed, and that
/// revision. What is not there bears no trace of having been made and deleted
/// again, so the history is asked.
async fn changed_since(
    unit: &mut dyn UnitOfWork,
    workspace: &WorkspaceName,
    revision: u64,
    keys: &BTreeSet<ResourceKey>,
) -> Result<Option<(ResourceKey, u64)>, StorageError> {
    const BATCH: u32 = 200;
    let mut after = revision;
    while !keys.is_empty() {
        let query = ListRevisions {
            workspace: Some(workspace.clone()),
            after,
            limit: BATCH,
        };
        let later = unit.revisions().list(&query).await?;
        for revision in &later {
            if let Some(change) = revision.changes.iter().find(|it| keys.contains(&it.key)) {
                return Ok(Some((change.key.clone(), revision.version.revision)));
            }
        }
        match later.last() {
            Some(last) => after = last.version.revision,
            None => break,
        }
    }
    Ok(None)
}

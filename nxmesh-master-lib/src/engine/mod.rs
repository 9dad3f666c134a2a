//! The desired state: what may be stored, and storing it.
//!
//! A write is checked as a whole against the workspace it would make, committed
//! as one revision and only then announced. Callers parse; the engine decides.

mod change;
mod error;

use std::sync::Arc;

use nxmesh_core::{
    contract::{
        clock::Clock,
        event_bus::EventBus,
        renderer::Renderer,
        storage::{ListResources, ListRevisions, Revision, Storage, StoredResource},
    },
    model::{ResourceKey, value::WorkspaceName},
};

pub use change::{DesiredChange, WriteRequest, Written};
pub use error::EngineError;

use crate::coordination::Fleet;

/// Checks and commits changes of the desired state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    storage: Arc<dyn Storage>,
    bus: Arc<dyn EventBus>,
    clock: Arc<dyn Clock>,
    renderer: Arc<dyn Renderer>,
    fleet: Fleet,
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
        }
    }

    /// Makes one revision of the changes, and announces it. Documents that are
    /// there already with the same content make no change; if none is left,
    /// nothing is stored.
    ///
    /// # Errors
    ///
    /// [`EngineError`]; nothing was stored.
    pub async fn write(&self, request: WriteRequest) -> Result<Written, EngineError> {
        let _ = (&self.bus, &self.clock, &self.renderer, &self.fleet, request);
        todo!()
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
    ) -> Result<Written, EngineError> {
        let _ = (workspace, revision, author, message);
        todo!()
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

//! From the stored desired state to each agent.

use std::{sync::Arc, time::Duration};

use nxmesh_core::{
    api::{AgentView, RolloutView},
    contract::{
        clock::Clock,
        event_bus::EventBus,
        storage::{BootstrapToken, Storage, StorageError},
    },
    model::{AgentId, Labels, Version, value::WorkspaceName},
};
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How the fleet is led. Every span is settable so that tests need not wait.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FleetOptions {
    /// How often the history is polled when no hint arrives. Default: 1 s.
    pub poll_interval: Duration,
    /// Writes are sent out once none came for this long. Default: 50 ms.
    pub coalesce_quiet: Duration,
    /// Writes are sent out after this long at the latest; one that comes after
    /// as long a pause is sent at once. Default: 500 ms.
    pub coalesce_most: Duration,
    /// How often agents are told to report. Default: 30 s.
    pub heartbeat_interval: Duration,
    /// An offer without a final answer is made again after this long. Default: 2 min.
    pub offer_timeout: Duration,
    /// The first ceiling of the pause after a retryable failure. Default: 5 s.
    pub retry_first: Duration,
    /// The last ceiling of it. Default: 5 min.
    pub retry_most: Duration,
    /// An agent away for this long is not waited for in rollouts. Default: 10 s.
    pub disconnect_grace: Duration,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(1),
            coalesce_quiet: Duration::from_millis(50),
            coalesce_most: Duration::from_millis(500),
            heartbeat_interval: Duration::from_secs(30),
            offer_timeout: Duration::from_secs(120),
            retry_first: Duration::from_secs(5),
            retry_most: Duration::from_secs(300),
            disconnect_grace: Duration::from_secs(10),
        }
    }
}

/// The agents and what each is to serve. A cheap handle; clones share one fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    storage: Arc<dyn Storage>,
}

impl Fleet {
    /// Loads the agents and the desired state. Starts no task.
    ///
    /// # Errors
    ///
    /// [`StorageError`]
    pub async fn open(
        storage: Arc<dyn Storage>,
        bus: Arc<dyn EventBus>,
        clock: Arc<dyn Clock>,
        options: FleetOptions,
    ) -> Result<Self, StorageError> {
        let _ = (bus, clock, options);
        Ok(Self { storage })
    }

    /// Follows the history and keeps what agents tell, until `stop`; to be run
    /// once. What is not stored yet is stored before it returns.
    pub async fn run(&self, stop: CancellationToken) {
        stop.cancelled().await;
    }

    /// The agents of a workspace, by hostname and id.
    pub async fn agents(&self, workspace: &WorkspaceName) -> Vec<AgentView> {
        let _ = workspace;
        todo!()
    }

    /// One agent; `None` if it is not known or of another workspace.
    pub async fn agent(&self, workspace: &WorkspaceName, id: &AgentId) -> Option<AgentView> {
        let _ = (workspace, id);
        todo!()
    }

    /// Forgets an agent and ends its session; returns whether it was there.
    /// Its nginx goes on serving.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; the agent is still known then.
    pub async fn remove(
        &self,
        workspace: &WorkspaceName,
        id: &AgentId,
    ) -> Result<bool, StorageError> {
        let _ = (workspace, id);
        todo!()
    }

    /// How far a version has come; `None` if the workspace has no such revision.
    ///
    /// # Errors
    ///
    /// [`StorageError`]
    pub async fn rollout(
        &self,
        workspace: &WorkspaceName,
        revision: u64,
    ) -> Result<Option<RolloutView>, StorageError> {
        let _ = (workspace, revision);
        todo!()
    }

    /// As [`rollout`](Self::rollout), once the view's tag is another than
    /// `seen`, it is done, or `until` is reached.
    ///
    /// # Errors
    ///
    /// [`StorageError`]
    pub async fn wait_rollout(
        &self,
        workspace: &WorkspaceName,
        revision: u64,
        seen: Option<&str>,
        until: Instant,
    ) -> Result<Option<RolloutView>, StorageError> {
        let _ = (workspace, revision, seen, until);
        todo!()
    }

    /// Makes a token that admits one agent within `ttl`. The text is shown
    /// once; only its digest is stored.
    ///
    /// # Errors
    ///
    /// [`StorageError`]
    pub async fn create_bootstrap_token(
        &self,
        workspace: WorkspaceName,
        labels: Labels,
        ttl: Duration,
    ) -> Result<(SecretString, BootstrapToken), StorageError> {
        let _ = (&self.storage, workspace, labels, ttl);
        todo!()
    }

    /// Figures for metrics.
    #[must_use]
    pub fn counts(&self) -> FleetCounts {
        FleetCounts::default()
    }

    /// The newest version that was seen in the history.
    #[must_use]
    pub fn head(&self) -> Version {
        Version::default()
    }
}

/// Figures of the fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetCounts {
    /// Enrolled agents.
    pub agents: u64,
    /// Those with a session.
    pub connected: u64,
    /// Those that serve what they are to serve.
    pub in_sync: u64,
    /// Those whose newest version failed.
    pub failed: u64,
    /// Offers sent since the start.
    pub offers_sent: u64,
}

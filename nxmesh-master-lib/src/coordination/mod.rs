//! From the stored desired state to each agent.
//!
//! - `tail` follows the history and keeps `desired` current: every workspace,
//!   cut into one slice per set of labels (`slices`), encoded once (`content`).
//! - `registry` holds the agents and their sessions, `agent` decides what each
//!   is to be offered, `facts` takes in what it tells.
//! - `session` joins the two for whoever speaks to an agent; it is level
//!   triggered: a wake-up means "compare again", so none can be lost, and what
//!   is sent is always the newest.
//!
//! An agent that no virtual host chooses, and that never had any, is left
//! alone. Once it had one, an empty slice is sent like any other.

mod agent;
mod audit;
mod coalesce;
mod commands;
mod content;
mod counted;
mod desired;
mod enrolment;
mod facts;
mod keep;
mod keys;
mod logs;
mod measured;
mod options;
mod quarantine;
mod registry;
mod rollout;
mod session;
mod slices;
mod tail;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nxmesh_core::{
    api::{AgentView, RolloutView},
    contract::{
        clock::Clock,
        event_bus::EventBus,
        storage::{ListAgents, NewAuditEntry, Revision, Storage, StorageError},
    },
    model::{AgentId, Selector, Version, value::WorkspaceName},
    seal::SessionKey,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use commands::Commands;
use desired::Desired;
use registry::Registry;

pub(crate) use content::Content;
pub(crate) use enrolment::EnrolError;
pub(crate) use registry::HelloError;
pub(crate) use session::{Next, Offer, Session};

pub use commands::CommandError;
pub use counted::FleetMetrics;
pub use logs::LogStream;
pub use options::{FleetCounts, FleetOptions};

/// The agents and what each is to serve. A cheap handle; clones share one fleet.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Arc<dyn Storage>,
    bus: Arc<dyn EventBus>,
    clock: Arc<dyn Clock>,
    options: FleetOptions,
    /// Never locked while `registry` is.
    desired: Mutex<Desired>,
    registry: Mutex<Registry>,
    /// Never locked while another lock is.
    commands: Mutex<Commands>,
    /// Never locked while another lock is.
    readers: Mutex<logs::Readers>,
    /// Told when a command is given.
    commanded: Notify,
    /// Entries of the audit log that are not written yet.
    unwritten: Mutex<VecDeque<NewAuditEntry>>,
    /// Counts changes of anything that a rollout shows.
    progress: watch::Sender<u64>,
    /// Told when a record is to be stored.
    unsaved: Notify,
    /// Held while the keys of an agent change: in the storage first, then here.
    changing_keys: tokio::sync::Mutex<()>,
    /// Held while records are stored or removed, so that a removed one is not
    /// stored again.
    keeping: tokio::sync::Mutex<()>,
}

impl Fleet {
    /// Loads the agents, the desired state and the commands without a result.
    /// Starts no task; see [`run`](Self::run).
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
        let mut unit = storage.read().await?;
        let snapshot = tail::snapshot(&mut *unit).await?;
        let records = unit.agents().list(&ListAgents::default()).await?;
        drop(unit);
        let mut desired = Desired::default();
        desired.reload(snapshot);
        let fleet = Self(Arc::new(Inner {
            storage,
            bus,
            clock,
            options,
            desired: Mutex::new(desired),
            registry: Mutex::new(Registry::load(records, Instant::now())),
            commands: Mutex::default(),
            readers: Mutex::default(),
            commanded: Notify::new(),
            unwritten: Mutex::default(),
            progress: watch::Sender::new(0),
            unsaved: Notify::new(),
            changing_keys: tokio::sync::Mutex::default(),
            keeping: tokio::sync::Mutex::default(),
        }));
        fleet.take_left_open().await;
        Ok(fleet)
    }

    /// Follows the history, stores what agents tell and has old keys changed,
    /// until `stop`; to be run once. What is not stored yet is stored before it returns.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::join!(
            tail::run(self, &stop),
            keep::run(self, &stop),
            commands::run(self, &stop),
            keys::run(self, &stop)
        );
    }

    /// The agents of a workspace, by hostname and id.
    pub async fn agents(&self, workspace: &WorkspaceName) -> Vec<AgentView> {
        let mut views = self.views(|agent| agent.record.workspace == *workspace);
        views.sort_by(|a, b| (&a.hostname, &a.id).cmp(&(&b.hostname, &b.id)));
        views
    }

    /// One agent; `None` if it is not known or of another workspace.
    pub async fn agent(&self, workspace: &WorkspaceName, id: &AgentId) -> Option<AgentView> {
        let mut view = self
            .views(|agent| agent.record.id == *id && agent.record.workspace == *workspace)
            .pop()?;
        let registry = self.registry();
        if let Some(agent) = registry.get(id) {
            view.measured = agent.measured.as_deref().cloned();
            view.metrics = agent.counted.as_deref().map(|counted| counted.view);
        }
        Some(view)
    }

    /// Forgets an agent on behalf of `by` and ends its session; returns whether
    /// it was there. Its nginx goes on serving.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; the agent is still known then.
    pub async fn remove(
        &self,
        workspace: &WorkspaceName,
        id: &AgentId,
        by: &str,
    ) -> Result<bool, StorageError> {
        let Some(agent) = self.agent(workspace, id).await else {
            return Ok(false);
        };
        // What happened before stands before it in the log.
        self.write_audit().await?;
        let keeping = self.0.keeping.lock().await;
        let mut unit = self.0.storage.begin().await?;
        let removed = unit.agents().remove(id).await?;
        if removed {
            let at = self.clock().unix_millis();
            unit.audit()
                .append(audit::removal(workspace, &agent, at, by))
                .await?;
        }
        unit.commit().await?;
        let orphaned = self.registry().remove(id);
        drop(keeping);
        if let Some((workspace, labels)) = orphaned {
            self.desired().workspace(&workspace).forget(&labels);
        }
        self.changed();
        Ok(removed)
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
        let found = self.revision(workspace, revision).await?;
        Ok(found.map(|revision| self.rollout_of(&revision)))
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
        /// Time alone makes an agent count as away.
        const LOOK_AGAIN: Duration = Duration::from_millis(500);
        /// So that looking at many agents does not take all of the time.
        const PAUSE_PER_AGENT: Duration = Duration::from_micros(10);
        let Some(revision) = self.revision(workspace, revision).await? else {
            return Ok(None);
        };
        let mut changes = self.0.progress.subscribe();
        loop {
            changes.mark_unchanged();
            let view = self.rollout_of(&revision);
            if view.done || seen != Some(&*view.tag) || Instant::now() >= until {
                return Ok(Some(view));
            }
            let again = until.min(Instant::now() + LOOK_AGAIN);
            let agents = u32::try_from(view.agents.len()).unwrap_or(u32::MAX);
            tokio::time::sleep(PAUSE_PER_AGENT.saturating_mul(agents)).await;
            // Either way it is time to look again.
            drop(tokio::time::timeout_at(again, changes.changed()).await);
        }
    }

    /// The agents of a workspace that one of `selectors` chooses, by id.
    #[must_use]
    pub fn chosen(&self, workspace: &WorkspaceName, selectors: &[Selector]) -> Vec<AgentId> {
        let registry = self.registry();
        let agents = registry.chosen(workspace, selectors);
        let mut ids: Vec<AgentId> = agents.map(|agent| agent.record.id.clone()).collect();
        ids.sort();
        ids
    }

    /// The newest version that was taken in from the history.
    #[must_use]
    pub fn head(&self) -> Version {
        self.desired().head()
    }

    /// Figures for metrics.
    #[must_use]
    pub fn counts(&self) -> FleetCounts {
        let views = self.views(|_| true);
        let count =
            |test: fn(&AgentView) -> bool| views.iter().filter(|it| test(it)).count() as u64;
        FleetCounts {
            agents: count(|_| true),
            connected: count(|view| view.connected),
            in_sync: count(|view| view.in_sync),
            failed: count(|view| view.failure.is_some()),
            offers_sent: self.registry().offers_sent,
        }
    }

    /// A key an agent may sign with; looked up in memory only.
    pub(crate) fn session_key(&self, id: &AgentId, key_id: &str) -> Option<SessionKey> {
        self.registry().key(id, key_id).cloned()
    }

    /// Whether there is such an agent.
    pub(crate) fn knows(&self, id: &AgentId) -> bool {
        self.registry().get(id).is_some()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(crate) fn options(&self) -> &FleetOptions {
        &self.0.options
    }

    async fn revision(
        &self,
        workspace: &WorkspaceName,
        number: u64,
    ) -> Result<Option<Revision>, StorageError> {
        let mut unit = self.0.storage.read().await?;
        let found = unit.revisions().get(number).await?;
        Ok(found.filter(|revision| revision.workspace == *workspace))
    }

    fn rollout_of(&self, revision: &Revision) -> RolloutView {
        let workspace = &revision.workspace;
        let mut desired = self.desired();
        let (head, selectors) = (desired.head(), desired.concerned(revision));
        drop(desired);
        let targets = self.targets(|agent| {
            agent.record.workspace == *workspace
                && selectors
                    .iter()
                    .any(|selector| selector.matches(&agent.record.labels))
        });
        let registry = self.registry();
        let agents = targets.iter().filter_map(|(id, head, target)| {
            let agent = registry.get(id)?;
            let progress = rollout::progress(agent, target, *head, revision.version);
            Some((progress, agent))
        });
        let grace = self.0.options.disconnect_grace;
        rollout::view(revision.version, head, agents, Instant::now(), grace)
    }

    fn views(&self, which: impl Fn(&agent::Agent) -> bool) -> Vec<AgentView> {
        let targets = self.targets(which);
        let registry = self.registry();
        targets
            .iter()
            .filter_map(|(id, head, target)| {
                Some(rollout::agent_view(registry.get(id)?, target, *head))
            })
            .collect()
    }

    /// What some agents are to serve, and at which version that was found.
    fn targets(
        &self,
        which: impl Fn(&agent::Agent) -> bool,
    ) -> Vec<(AgentId, Version, slices::Target)> {
        let registry = self.registry();
        let agents = registry.iter().filter(|agent| which(agent));
        let agents: Vec<_> = agents
            .map(|agent| {
                let record = &agent.record;
                (
                    record.id.clone(),
                    record.workspace.clone(),
                    record.labels.clone(),
                )
            })
            .collect();
        drop(registry);
        let mut desired = self.desired();
        let head = desired.head();
        agents
            .into_iter()
            .map(|(id, workspace, labels)| (id, head, desired.target(&workspace, &labels)))
            .collect()
    }

    /// Something that a rollout shows has changed.
    fn changed(&self) {
        self.0
            .progress
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn desired(&self) -> MutexGuard<'_, Desired> {
        self.0
            .desired
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn commands(&self) -> MutexGuard<'_, Commands> {
        self.0
            .commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, logs::Readers> {
        self.0
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn unwritten(&self) -> MutexGuard<'_, VecDeque<NewAuditEntry>> {
        self.0
            .unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

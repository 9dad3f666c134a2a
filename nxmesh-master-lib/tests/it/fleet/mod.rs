//! Agents and their master, over the real service on in-memory connections.
//! Time is paused: it passes only when nothing else can happen.

mod commands;
mod conversation;
mod enrolment;
mod figures;
mod holey;
mod keys;
mod offers;
mod recovery;
mod signatures;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nxmesh_core::{
    api::{AgentView, RolloutView},
    contract::{clock::Clock as _, storage::Storage},
    memory::{ManualClock, MemoryEventBus, MemoryStorage},
    model::{AgentId, Labels, Resource, value::WorkspaceName},
    seal::SessionKey,
    testkit::sample,
    wire::{RegisterAgentRequest, RegisterAgentResponse},
};
use nxmesh_master_lib::{
    api::grpc,
    coordination::{Fleet, FleetOptions},
    engine::{DesiredChange, Engine, WriteRequest, Written},
};
use nxmesh_render::HandlebarsRenderer;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::{io::DuplexStream, sync::mpsc, time::Instant};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint, Server, Uri},
};

pub(crate) use conversation::{Conversation, Hello, call};

/// 2026-01-01
const NOW: u64 = 1_767_225_600_000;

/// A master with everything in memory. Dropping it kills it.
pub(crate) struct Master {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) fleet: Fleet,
    pub(crate) engine: Engine,
    connections: mpsc::UnboundedSender<std::io::Result<DuplexStream>>,
    tasks: tokio::task::JoinSet<()>,
    pub(crate) stop: CancellationToken,
    _stops: DropGuard,
}

impl Master {
    pub(crate) async fn start() -> Self {
        Self::on(Arc::new(MemoryStorage::new())).await
    }

    pub(crate) async fn on(storage: Arc<dyn Storage>) -> Self {
        Self::with(storage, FleetOptions::default()).await
    }

    pub(crate) async fn with(storage: Arc<dyn Storage>, options: FleetOptions) -> Self {
        let mut master = Self::idle(storage, options).await;
        let (fleet, stop) = (master.fleet.clone(), master.stop.clone());
        master.tasks.spawn(async move { fleet.run(stop).await });
        master
    }

    /// A master that does not follow the history.
    pub(crate) async fn idle(storage: Arc<dyn Storage>, options: FleetOptions) -> Self {
        let clock = Arc::new(ManualClock::at_unix_millis(NOW));
        let bus = Arc::new(MemoryEventBus::new());
        let stop = CancellationToken::new();
        let fleet = Fleet::open(
            Arc::clone(&storage),
            Arc::<MemoryEventBus>::clone(&bus),
            Arc::<ManualClock>::clone(&clock),
            options,
        )
        .await
        .expect("open the fleet");
        let renderer = Arc::new(HandlebarsRenderer::new());
        let engine = Engine::new(
            storage,
            bus,
            Arc::<ManualClock>::clone(&clock),
            renderer,
            fleet.clone(),
        );
        let routes = grpc::routes(fleet.clone(), "the CA".to_owned(), stop.clone());
        let (connections, incoming) = mpsc::unbounded_channel();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let incoming = UnboundedReceiverStream::new(incoming);
            let server = Server::builder().add_routes(routes);
            server.serve_with_incoming(incoming).await.expect("serve");
        });
        Self {
            clock,
            fleet,
            engine,
            connections,
            tasks,
            _stops: stop.clone().drop_guard(),
            stop,
        }
    }

    pub(crate) fn clock_millis(&self) -> u64 {
        self.clock.unix_millis()
    }

    pub(crate) fn channel(&self) -> Channel {
        let connections = self.connections.clone();
        let connect = tower::service_fn(move |_: Uri| {
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            let sent = connections.send(Ok(theirs));
            async move {
                sent.map_err(|_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused))?;
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(ours))
            }
        });
        Endpoint::from_static("http://master").connect_with_connector_lazy(connect)
    }

    pub(crate) async fn token(&self, labels: &[(&str, &str)]) -> String {
        let hour = Duration::from_secs(3600);
        let (text, _) = self
            .fleet
            .create_bootstrap_token(workspace(), labels_of(labels), hour)
            .await
            .expect("make a token");
        text.expose_secret().to_owned()
    }

    pub(crate) async fn enrol(
        &self,
        token: &str,
        install_id: &str,
    ) -> Result<RegisterAgentResponse, Status> {
        let request = RegisterAgentRequest {
            bootstrap_token: token.to_owned(),
            install_id: install_id.to_owned(),
            hostname: format!("{install_id}.example.com"),
            labels: BTreeMap::from([("env".to_owned(), "asked".to_owned())]),
            ..RegisterAgentRequest::default()
        };
        call(&self.channel(), "RegisterAgent", Request::new(request)).await
    }

    /// Enrols an agent with labels of its own.
    pub(crate) async fn agent(&self, labels: &[(&str, &str)]) -> Agent {
        static INSTALLS: AtomicU64 = AtomicU64::new(1);
        let install = format!("install-{}", INSTALLS.fetch_add(1, Ordering::Relaxed));
        let token = self.token(labels).await;
        let enrolled = self.enrol(&token, &install).await.expect("enrol");
        Agent {
            id: enrolled.agent_id.parse().expect("an agent id"),
            key_id: enrolled.key_id,
            key: SessionKey::from_slice(&enrolled.session_key).expect("a key"),
            sequence: 0,
        }
    }

    pub(crate) async fn write(&self, changes: Vec<DesiredChange>) -> Written {
        let request = WriteRequest {
            workspace: workspace(),
            author: "admin".to_owned(),
            message: String::new(),
            changes,
            dry_run: false,
        };
        self.engine.write(request).await.expect("write")
    }

    /// Puts the host `name`, which answers `body`; returns the revision.
    pub(crate) async fn put(&self, name: &str, body: &str) -> u64 {
        let written = self
            .write(vec![DesiredChange::put(host(name, "", body))])
            .await;
        written.version.expect("a revision").revision
    }

    pub(crate) async fn view(&self, agent: &Agent) -> AgentView {
        let view = self.fleet.agent(&workspace(), &agent.id).await;
        view.expect("the agent is known")
    }

    pub(crate) async fn rollout(&self, revision: u64) -> RolloutView {
        let view = self.fleet.rollout(&workspace(), revision).await;
        view.expect("read").expect("the revision is there")
    }

    /// Waits until the rollout is done.
    pub(crate) async fn settled(&self, revision: u64) -> RolloutView {
        let until = Instant::now() + Duration::from_secs(120);
        let mut seen = self.rollout(revision).await;
        while !seen.done {
            assert!(Instant::now() < until, "not done: {seen:?}");
            let workspace = workspace();
            let next = self
                .fleet
                .wait_rollout(&workspace, revision, Some(&seen.tag), until);
            seen = next.await.expect("read").expect("there");
        }
        seen
    }
}

/// What an enrolled agent keeps.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) key_id: String,
    pub(crate) key: SessionKey,
    pub(crate) sequence: u64,
}

pub(crate) fn workspace() -> WorkspaceName {
    WorkspaceName::default()
}

pub(crate) fn labels_of(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| (key.parse().expect("a key"), value.parse().expect("a value")))
        .collect()
}

/// A host for agents that `selector` chooses.
pub(crate) fn host(name: &str, selector: &str, body: &str) -> Resource {
    sample::resource(json!({
        "kind": "VirtualHost",
        "metadata": { "name": name },
        "spec": {
            "selector": selector,
            "server_names": [format!("{name}.example.com")],
            "locations": [{ "path": "/", "respond": { "status": 200, "body": body } }],
        },
    }))
}

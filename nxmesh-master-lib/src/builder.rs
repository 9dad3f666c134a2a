//! Putting a master together.

use std::{io, net::SocketAddr, sync::Arc};

use nxmesh_core::{
    contract::{
        clock::{Clock, SystemClock},
        event_bus::EventBus,
        renderer::Renderer,
        storage::{Storage, StorageError, User},
    },
    memory::MemoryEventBus,
    model::value::UserName,
    snippet::SnippetPolicy,
};
use nxmesh_render::HandlebarsRenderer;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, rest},
    auth::{Logins, PasswordError, Passwords, TokenError},
    config::MasterConfig,
    coordination::Fleet,
    data_dir::{DataDir, DataDirError},
    engine::Engine,
    keys::Keys,
    master::Master,
    observability::Metrics,
    server::{Port, Served},
    tls::{self, TlsError},
};

/// Connections at the same time.
const MAX_API_CONNECTIONS: usize = 1024;
const MAX_AGENT_CONNECTIONS: usize = 20_000;

/// What a peer may send ahead: documents come fast, thousands of agents cost little.
const API_WINDOW_BYTES: u32 = 1 << 20;
const AGENT_WINDOW_BYTES: u32 = 64 << 10;

/// The parts of a master. Only the storage has no default.
#[derive(Debug)]
#[must_use]
pub struct MasterBuilder {
    data_dir: DataDir,
    config: MasterConfig,
    storage: Option<Arc<dyn Storage>>,
    renderer: Arc<dyn Renderer>,
    event_bus: Arc<dyn EventBus>,
    clock: Arc<dyn Clock>,
    snippet_policy: Arc<SnippetPolicy>,
}

/// Why a master could not be put together. Nothing is served then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A part without default was not given.
    #[error("a master needs a {part}")]
    Missing {
        /// Which.
        part: &'static str,
    },
    /// A port could not be bound.
    #[error("could not listen for {whom} on {address}")]
    Listen {
        /// `people` or `agents`.
        whom: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The data folder could not be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The certificates could not be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token signing key could not be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Passwords cannot be checked on this machine.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The metrics contradict each other.
    #[error("could not set the metrics up")]
    Metrics(#[from] prometheus::Error),
}

/// Why the first start could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// There is a user already; nothing was changed.
    #[error("this master is initialised already; nothing was changed")]
    AlreadyInitialised,
    /// The password is not accepted; nothing was changed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Keys, certificates or storage failed.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl MasterBuilder {
    pub(crate) fn new(data_dir: DataDir) -> Self {
        Self {
            data_dir,
            config: MasterConfig::default(),
            storage: None,
            renderer: Arc::new(HandlebarsRenderer::new()),
            event_bus: Arc::new(MemoryEventBus::new()),
            clock: Arc::new(SystemClock),
            snippet_policy: Arc::default(),
        }
    }

    /// Replaces the options.
    pub fn config(mut self, config: MasterConfig) -> Self {
        self.config = config;
        self
    }

    /// Where the state is kept.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Tries changed resources before they are stored. Default: the built-in templates.
    pub fn renderer(mut self, renderer: Arc<dyn Renderer>) -> Self {
        self.renderer = renderer;
        self
    }

    /// Carries hints between masters. Default: within this process.
    pub fn event_bus(mut self, event_bus: Arc<dyn EventBus>) -> Self {
        self.event_bus = event_bus;
        self
    }

    /// The source of time. Default: the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What snippets may say beside the built-in rules. Default: nothing more,
    /// nothing less. What one master takes, another has to take too; agents
    /// have policies of their own and refuse what they do not allow.
    pub fn snippet_policy(mut self, policy: SnippetPolicy) -> Self {
        self.snippet_policy = Arc::new(policy);
        self
    }

    /// Makes the first start: keys, certificates, and the one administrator.
    ///
    /// # Errors
    ///
    /// [`InitError::AlreadyInitialised`] if there is a user; the storage is
    /// unchanged after every error.
    pub async fn init(self, admin: UserName, password: SecretString) -> Result<(), InitError> {
        let storage = self.storage.ok_or_else(|| missing("storage"))?;
        let mut unit = storage.begin().await.map_err(BuildError::from)?;
        let users = unit.access().user_count().await.map_err(BuildError::from)?;
        if users > 0 {
            return Err(InitError::AlreadyInitialised);
        }
        let password_hash = Passwords::new()?.hash(password).await?;
        let user = User {
            name: admin,
            password_hash,
            created_at: self.clock.unix_millis(),
        };
        Keys::open(self.data_dir, self.config.certificate_names(), self.clock)?;
        unit.access()
            .put_user(&user)
            .await
            .map_err(BuildError::from)?;
        unit.commit().await.map_err(BuildError::from)?;
        Ok(())
    }

    /// Opens the keys, loads the state and binds both ports. Serves nothing yet.
    ///
    /// # Errors
    ///
    /// [`BuildError`]
    pub async fn build(self) -> Result<Master, BuildError> {
        let storage = self.storage.ok_or_else(|| missing("storage"))?;
        let (bus, clock) = (self.event_bus, self.clock);
        let names = self.config.certificate_names();
        let keys = Keys::open(self.data_dir, names, Arc::clone(&clock))?;
        let api = bind("people", self.config.api_listen).await?;
        let agents = bind("agents", self.config.agent_listen).await?;
        let fleet = Fleet::open(
            Arc::clone(&storage),
            Arc::clone(&bus),
            Arc::clone(&clock),
            self.config.fleet.clone(),
        )
        .await?;
        let engine = Engine::new(
            Arc::clone(&storage),
            bus,
            clock,
            self.renderer,
            fleet.clone(),
        )
        .with_snippet_policy(self.snippet_policy);
        let users = storage.read().await?.access().user_count().await?;
        let stopping = CancellationToken::new();
        let tokens = Arc::clone(&keys.tokens);
        let api_tls = !api.address().ip().is_loopback();
        let state = rest::RestState {
            engine,
            fleet: fleet.clone(),
            logins: Logins::new(Arc::clone(&storage), Passwords::new()?, Arc::clone(&tokens)),
            storage,
            tokens,
            metrics: Metrics::new()?,
            agent_url: self.config.agent_url(agents.address()),
            ca_pem: keys.authority.pem().to_owned(),
            tls: api_tls,
            reading: Arc::new(Semaphore::new(rest::READING_AT_ONCE)),
            stopping: stopping.clone(),
        };
        let agent_url = state.agent_url.clone();
        let acceptor = || tls::acceptor(Arc::clone(&keys.certificate));
        let drain = self.config.drain_timeout;
        let api_served = Served {
            router: rest::router(Arc::new(state)),
            tls: api_tls.then(acceptor).transpose()?,
            max_connections: MAX_API_CONNECTIONS,
            window_bytes: API_WINDOW_BYTES,
            keepalive: self.config.keepalive,
            drain,
        };
        let agents_served = Served {
            router: api::agents(
                fleet.clone(),
                keys.authority.announced().to_owned(),
                self.config.keepalive,
                stopping.clone(),
            ),
            tls: Some(acceptor()?),
            max_connections: MAX_AGENT_CONNECTIONS,
            window_bytes: AGENT_WINDOW_BYTES,
            keepalive: self.config.keepalive,
            drain,
        };
        Ok(Master {
            api: (api, api_served),
            agents: (agents, agents_served),
            agent_url,
            is_initialised: users > 0,
            fleet,
            keys,
            stopping,
        })
    }
}

fn missing(part: &'static str) -> BuildError {
    BuildError::Missing { part }
}

async fn bind(whom: &'static str, address: SocketAddr) -> Result<Port, BuildError> {
    Port::bind(address)
        .await
        .map_err(|source| BuildError::Listen {
            whom,
            address,
            source,
        })
}

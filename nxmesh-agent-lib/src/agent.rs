//! The agent: its parts, put to work.

use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt as _, path::PathBuf, sync::Arc};

use nxmesh_core::contract::{
    clock::Clock, reloader::Reloader, renderer::Renderer, transport::Transport,
};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    apply::{Pipeline, PipelineError},
    builder::AgentBuilder,
    cache::{AtRestKey, KeyError},
    config::AgentOptions,
    controller::Controller,
    enrol::Enrolment,
    exchange::Exchange,
    identity::{Identity, IdentityError, IdentityStore},
    status::{AgentStatus, ConnectionState},
    status_socket::StatusSocket,
    transport::{
        Connection, ConnectionSequence,
        grpc::{GrpcOptions, GrpcOptionsError, GrpcTransport},
        message::Introduction,
    },
};

/// Keeps one nginx at the configuration its master wants.
#[derive(Debug)]
pub struct Agent {
    options: AgentOptions,
    transport: Option<Arc<dyn Transport>>,
    reloader: Arc<dyn Reloader>,
    renderer: Arc<dyn Renderer>,
    clock: Arc<dyn Clock>,
    at_rest_key: Option<AtRestKey>,
    status: watch::Sender<AgentStatus>,
}

/// Why an agent cannot work. Nothing that passes by itself is among these: an
/// unreachable master or an nginx that does not come up are tried again, and
/// shown in the status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The state folder cannot be made.
    #[error("could not make the state folder {path}", path = path.display())]
    StateDir {
        /// The folder.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The key that seals secrets on disk cannot be had.
    #[error("could not get the key of the state folder")]
    Key(#[source] KeyError),
    /// Another agent works here, or files cannot be used.
    #[error("could not open the state folder")]
    Pipeline(#[source] PipelineError),
    /// The identity cannot be read or kept.
    #[error("could not use the agent's identity")]
    Identity(#[source] IdentityError),
    /// There is neither an identity nor a token to get one with.
    #[error(
        "this agent is not enrolled and has no bootstrap token; `nxmeshctl agent enroll` makes one, `--token-file FILE` passes it"
    )]
    NotEnrolled,
    /// It is not known where the master is.
    #[error("it is not known where the master is; `--master-url https://HOST:8443` says it")]
    NoMasterUrl,
    /// It is not known whom to trust.
    #[error(
        "it is not known which authority the master's certificate comes from; `--master-ca FILE` passes the master's ca.pem"
    )]
    NoMasterCa,
    /// The way to the master cannot be set up.
    #[error("could not set up the connection to the master")]
    Transport(#[source] GrpcOptionsError),
    /// The master will not have this agent.
    #[error("the master refused the enrolment: {reason}")]
    EnrolmentRefused {
        /// In the master's words.
        reason: String,
    },
    /// A part of the agent ended before it should; a mistake in the program.
    #[error("the agent's {part} failed")]
    Internal {
        /// The part.
        part: &'static str,
        /// What happened.
        source: tokio::task::JoinError,
    },
}

impl Agent {
    /// Begins an agent.
    #[must_use]
    pub fn builder(options: AgentOptions) -> AgentBuilder {
        AgentBuilder::new(options)
    }

    pub(crate) fn new(
        options: AgentOptions,
        transport: Option<Arc<dyn Transport>>,
        reloader: Arc<dyn Reloader>,
        renderer: Arc<dyn Renderer>,
        clock: Arc<dyn Clock>,
        at_rest_key: Option<AtRestKey>,
    ) -> Self {
        Self {
            options,
            transport,
            reloader,
            renderer,
            clock,
            at_rest_key,
            status: watch::Sender::default(),
        }
    }

    /// What the agent knows of itself, always current. Outlives [`run`](Self::run).
    #[must_use]
    pub fn status(&self) -> watch::Receiver<AgentStatus> {
        self.status.subscribe()
    }

    /// Works until `stop` is cancelled. An apply under way then is finished.
    ///
    /// # Errors
    ///
    /// [`AgentError`]; nginx goes on serving what it served.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves what a crash would leave; the next start settles it.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AgentError> {
        let started = Instant::now();
        let layout = self.options.apply.layout.clone();
        let state_dir = layout.state_dir().to_owned();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&state_dir)
            .map_err(|source| AgentError::StateDir {
                path: state_dir.clone(),
                source,
            })?;
        let key = match self.at_rest_key.clone() {
            Some(key) => key,
            None => AtRestKey::load_or_create(&layout.key()).map_err(AgentError::Key)?,
        };
        let store = IdentityStore::new(&state_dir, key.clone());
        let identity = store.load().map_err(AgentError::Identity)?;
        self.check(identity.as_ref())?;

        let pipeline = Pipeline::open(
            self.options.apply.clone(),
            Arc::clone(&self.renderer),
            Arc::clone(&self.reloader),
            key,
            Arc::clone(&self.clock),
        )
        .await
        .map_err(AgentError::Pipeline)?;
        // The first hello says what is on disk, not what was there.
        let running = pipeline.running_digest().await;
        self.status.send_modify(|status| {
            status.running = running;
            status.pid = std::process::id();
            status.started = self.clock.unix_millis();
            status.agent_id = identity
                .as_ref()
                .map(|known| known.credentials.agent_id.clone());
        });
        let (exchange, commands) = Exchange::new(self.status.clone());
        let socket = StatusSocket::bind(&state_dir)
            .inspect_err(|error| warn!(%error, "the status cannot be asked for"))
            .ok();

        let controller = Controller::new(
            pipeline,
            Arc::clone(&self.reloader),
            Arc::clone(&self.clock),
            self.options.control,
            Arc::clone(&exchange),
            commands,
        );
        self.supervise(controller, exchange, socket, store, identity, started, stop)
            .await
    }

    /// Runs the controller beside the connection; neither waits for the other.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one agent, used here only"
    )]
    async fn supervise(
        self,
        controller: Controller,
        exchange: Arc<Exchange>,
        socket: Option<StatusSocket>,
        store: IdentityStore,
        identity: Option<Identity>,
        started: Instant,
        stop: CancellationToken,
    ) -> Result<(), AgentError> {
        let farewell = self.options.farewell;
        let status = self.status.clone();
        // Dropped with this future, which ends the tasks.
        let mut controlling = JoinSet::new();
        let mut connecting = JoinSet::new();
        let mut serving = JoinSet::new();
        let halt = stop.child_token();
        let hang_up = CancellationToken::new();
        if let Some(socket) = socket {
            serving.spawn(async move { socket.serve(status.subscribe()).await });
        }
        let controller_halt = halt.clone();
        controlling.spawn(async move { controller.run(&controller_halt).await });
        let (connection_halt, connection_exchange) = (hang_up.clone(), Arc::clone(&exchange));
        connecting.spawn(async move {
            self.stay_connected(
                connection_exchange,
                store,
                identity,
                started,
                &connection_halt,
            )
            .await
        });

        let mut failed = Ok(());
        tokio::select! {
            () = halt.cancelled() => {}
            Some(ended) = controlling.join_next() => failed = joined("controller", ended),
            Some(ended) = connecting.join_next() => {
                failed = joined("connection", ended).and_then(|outcome| outcome);
            }
        }
        halt.cancel();
        while let Some(ended) = controlling.join_next().await {
            failed = failed.and(joined("controller", ended));
        }
        // What the last apply came to should reach the master, if it listens.
        let listens = exchange.status.borrow().connection.state == ConnectionState::Ready;
        if listens && !connecting.is_empty() {
            drop(tokio::time::timeout(farewell, exchange.outbox.drained()).await);
        }
        hang_up.cancel();
        while let Some(ended) = connecting.join_next().await {
            failed = failed.and(joined("connection", ended).and_then(|outcome| outcome));
        }
        info!("stopped");
        failed
    }

    /// Finds what is missing before anything is started.
    fn check(&self, identity: Option<&Identity>) -> Result<(), AgentError> {
        if identity.is_none() && self.options.bootstrap_token.is_none() {
            return Err(AgentError::NotEnrolled);
        }
        if self.transport.is_none() {
            self.grpc(identity)?;
        }
        Ok(())
    }

    async fn stay_connected(
        self,
        exchange: Arc<Exchange>,
        store: IdentityStore,
        identity: Option<Identity>,
        started: Instant,
        stop: &CancellationToken,
    ) -> Result<(), AgentError> {
        let hostname = self.hostname();
        let nginx_version = self.options.apply.render.nginx.to_string();
        let identity = match identity {
            Some(identity) => identity,
            None => {
                let enrolment = Enrolment {
                    transport: self.way_to_master(None)?,
                    store,
                    token: self
                        .options
                        .bootstrap_token
                        .clone()
                        .ok_or(AgentError::NotEnrolled)?,
                    labels: self.options.labels.clone(),
                    hostname: hostname.clone(),
                    nginx_version: nginx_version.clone(),
                    master_url: self.options.master_url.clone(),
                    master_ca: self.options.master_ca.clone(),
                    backoff: self.options.connection.backoff,
                    clock: Arc::clone(&self.clock),
                    exchange: Arc::clone(&exchange),
                };
                match enrolment.run(stop).await? {
                    Some(identity) => identity,
                    None => return Ok(()),
                }
            }
        };
        let agent_id = identity.credentials.agent_id.clone();
        exchange
            .status
            .send_modify(|status| status.agent_id = Some(agent_id));
        let state_dir = self.options.apply.layout.state_dir();
        let connection = Connection {
            transport: self.way_to_master(Some(&identity))?,
            credentials: identity.credentials,
            options: self.options.connection,
            clock: Arc::clone(&self.clock),
            sequence: ConnectionSequence::new(state_dir.join("connection-sequence")),
            introduction: Introduction {
                boot_id: Uuid::new_v4().to_string(),
                hostname,
                nginx_version,
            },
            exchange,
            started,
        };
        connection.run(stop).await;
        Ok(())
    }

    fn way_to_master(&self, identity: Option<&Identity>) -> Result<Arc<dyn Transport>, AgentError> {
        match &self.transport {
            Some(transport) => Ok(Arc::clone(transport)),
            None => Ok(Arc::new(self.grpc(identity)?)),
        }
    }

    fn grpc(&self, identity: Option<&Identity>) -> Result<GrpcTransport, AgentError> {
        let url = self
            .options
            .master_url
            .clone()
            .or_else(|| identity.and_then(|known| known.master_url.clone()))
            .ok_or(AgentError::NoMasterUrl)?;
        // Whoever passes a CA anew means it: the master may have another by now.
        let pinned = identity.map(|known| known.master_ca.as_str());
        let given = self.options.master_ca.as_deref();
        let trusted: Vec<&str> = [pinned, given].into_iter().flatten().collect();
        if trusted.iter().all(|pem| pem.trim().is_empty()) {
            return Err(AgentError::NoMasterCa);
        }
        let options = GrpcOptions {
            clock: Arc::clone(&self.clock),
            ..GrpcOptions::new(url, trusted.join("\n"))
        };
        GrpcTransport::new(options).map_err(AgentError::Transport)
    }

    fn hostname(&self) -> String {
        self.options.hostname.clone().unwrap_or_else(|| {
            nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .unwrap_or_default()
        })
    }
}

fn joined<T>(
    part: &'static str,
    ended: Result<T, tokio::task::JoinError>,
) -> Result<T, AgentError> {
    ended.map_err(|source| AgentError::Internal { part, source })
}

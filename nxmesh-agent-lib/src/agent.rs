//! The agent: its parts, put to work.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, sync::Arc};

use nxmesh_core::contract::{
    clock::Clock, reloader::Reloader, renderer::Renderer, transport::Transport,
};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    apply::Pipeline,
    builder::AgentBuilder,
    cache::{AtRestKey, KeyError},
    config::AgentOptions,
    controller::Controller,
    error::AgentError,
    exchange::Exchange,
    health,
    identity::{Identity, IdentityError, IdentityStore},
    island::IslandMark,
    link::Link,
    metrics::{self, MeteredReloader},
    status::{AgentStatus, ConnectionState},
    status_socket,
    transport::logs::ErrorLogOf,
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
        let loaded = match self.at_rest_key.clone() {
            Some(key) => Ok(key),
            None => AtRestKey::load_or_create(&layout.key()),
        };
        let (key, damaged) = match loaded {
            // What lies sealed stays unread.
            Err(error @ KeyError::Damaged { .. }) => (AtRestKey::random(), Some(error)),
            loaded => (loaded, None),
        };
        let key = key.map_err(AgentError::Key)?;
        let store = IdentityStore::new(&state_dir, key.clone());
        // Who cannot say who he is any more reaches no master: nginx needs to be
        // looked after all the more.
        let identity = match (damaged, store.load()) {
            (Some(error), _) => Err(AgentError::Key(error)),
            (None, Err(error @ IdentityError::Damaged { .. })) => Err(AgentError::Identity(error)),
            (None, loaded) => Ok(loaded.map_err(AgentError::Identity)?),
        };

        let (exchange, commands) = Exchange::new(self.status.clone());
        let link = Link {
            options: self.options.clone(),
            transport: self.transport,
            clock: Arc::clone(&self.clock),
            store,
            exchange: Arc::clone(&exchange),
            log: Arc::new(ErrorLogOf(Arc::clone(&self.reloader))),
            started,
        };
        if let Ok(identity) = &identity {
            link.check(identity.as_ref())?;
        }

        let meters = Arc::clone(&exchange.meters);
        let reloader: Arc<dyn Reloader> = Arc::new(MeteredReloader::new(self.reloader, meters));
        let pipeline = Pipeline::open(
            self.options.apply.clone(),
            Arc::clone(&self.renderer),
            Arc::clone(&reloader),
            key,
            Arc::clone(&self.clock),
        )
        .await
        .map_err(AgentError::Pipeline)?;
        self.status.send_modify(|status| {
            status.pid = std::process::id();
            status.started = self.clock.unix_millis();
            let known = identity.as_ref().ok().and_then(Option::as_ref);
            status.agent_id = known.map(|known| known.credentials.agent_id.clone());
        });
        let mut answering = JoinSet::new();
        let island = IslandMark::load(state_dir.join("island"), self.clock.unix_millis());
        if let Some(since) = island.since() {
            // There was no connection meanwhile.
            self.status
                .send_modify(|status| status.connection.since = since);
        }
        answering.spawn(island.follow(self.status.subscribe()));
        answering.spawn(status_socket::answer(
            state_dir.clone(),
            self.status.subscribe(),
        ));
        // The first hello says what is on disk, not what was there.
        let running = pipeline.running_digest().await;
        self.status.send_modify(|status| status.running = running);
        // Before nginx is asked to write to it.
        let _measuring = metrics::begin(&self.options, &exchange, Arc::clone(&self.clock));
        let _looking = health::begin(&self.options, &exchange, Arc::clone(&self.clock));
        let controller = Controller::new(
            pipeline,
            reloader,
            self.clock,
            self.options.control,
            Arc::clone(&exchange),
            commands,
            state_dir.join("drained"),
        );
        supervise(controller, link, identity, self.status.subscribe(), stop).await
    }
}

/// Runs the controller beside the link; neither waits for the other. Dropped,
/// it ends both.
async fn supervise(
    controller: Controller,
    link: Link,
    identity: Result<Option<Identity>, AgentError>,
    mut known: watch::Receiver<AgentStatus>,
    stop: CancellationToken,
) -> Result<(), AgentError> {
    let (halt, hang_up) = (stop.child_token(), CancellationToken::new());
    let exchange = Arc::clone(&link.exchange);
    let farewell = link.options.farewell;
    let was_known = identity.is_err();
    let mut controlling = JoinSet::new();
    let halted = halt.clone();
    controlling.spawn(async move {
        // nginx is left alone until a master has admitted this agent.
        let admitted = async move {
            let is_admitted = |status: &AgentStatus| was_known || status.agent_id.is_some();
            known.wait_for(is_admitted).await.is_ok()
        };
        tokio::select! {
            () = halted.cancelled() => {}
            true = admitted => controller.run(&halted).await,
        }
    });
    let mut connecting = JoinSet::new();
    let hung_up = hang_up.clone();
    connecting.spawn(async move { link.keep(identity, &hung_up).await });

    let mut outcome = Ok(());
    tokio::select! {
        () = halt.cancelled() => {}
        Some(ended) = controlling.join_next() => outcome = joined("controller", ended),
        Some(ended) = connecting.join_next() => outcome = joined("connection", ended).flatten(),
    }
    halt.cancel();
    while let Some(ended) = controlling.join_next().await {
        outcome = outcome.and(joined("controller", ended));
    }
    // What the last apply came to should reach the master, if it listens.
    let listens = exchange.status.borrow().connection.state == ConnectionState::Ready;
    if listens && !connecting.is_empty() {
        drop(tokio::time::timeout(farewell, exchange.outbox.drained()).await);
    }
    hang_up.cancel();
    while let Some(ended) = connecting.join_next().await {
        outcome = outcome.and(joined("connection", ended).flatten());
    }
    info!("stopped");
    outcome
}

fn joined<T>(
    part: &'static str,
    ended: Result<T, tokio::task::JoinError>,
) -> Result<T, AgentError> {
    ended.map_err(|source| AgentError::Internal { part, source })
}

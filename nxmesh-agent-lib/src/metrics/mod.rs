//! What the agent counts of itself and of its nginx, and how it is told: to
//! Prometheus, which asks, to a statsd server, and in part to the master. All tell
//! the one list of [`list`].

mod applies;
mod batch;
mod endpoint;
mod histogram;
mod list;
mod reloads;
mod request_log;
mod requests;
mod sample;
mod statsd;
mod text;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use nxmesh_core::contract::clock::Clock;
use tokio::{sync::watch, task::JoinSet};
use tracing::warn;

pub(crate) use self::{
    applies::Applies,
    reloads::{MeteredReloader, Reloads},
};
use self::{
    list::Sources, request_log::RequestLog, requests::Requests, sample::Family, statsd::Sent,
};
use crate::{config::AgentOptions, exchange::Exchange, nginx::stub_status, status::AgentStatus};

/// Whom the agent tells what it counts, beside its master. Default: nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsOptions {
    /// Where Prometheus asks, with `GET /metrics` over plain HTTP; best an address of
    /// this machine alone. Default: none.
    pub listen: Option<SocketAddr>,
    /// The statsd server that is told, as `HOST:PORT` over UDP. Default: none.
    pub statsd: Option<String>,
    /// How often the statsd server is told. Default: 10 s.
    pub statsd_interval: Duration,
    /// How often the master is told, of two dozen figures; up to 10 % more or
    /// less. Default: 60 s.
    pub master_interval: Duration,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            listen: None,
            statsd: None,
            statsd_interval: Duration::from_secs(10),
            master_interval: Duration::from_secs(60),
        }
    }
}

/// What is counted where it happens.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(crate) applies: Applies,
    pub(crate) reloads: Reloads,
    requests: Requests,
    statsd: Sent,
}

/// Everything that can be told now.
#[derive(Debug)]
struct Metrics {
    meters: Arc<Meters>,
    status: watch::Receiver<AgentStatus>,
    clock: Arc<dyn Clock>,
    /// Where nginx counts connections; `None` if it cannot.
    stub_status: Option<std::path::PathBuf>,
    /// Whether requests are counted at all.
    counts_requests: bool,
}

impl Metrics {
    /// All that is known now. Asks nginx, which may take a moment.
    async fn families(&self) -> Vec<Family> {
        let connections = match &self.stub_status {
            Some(socket) => stub_status::read(socket).await.ok(),
            None => None,
        };
        let status = self.status.borrow().clone();
        list::families(&Sources {
            status: &status,
            meters: &self.meters,
            connections,
            counts_connections: self.stub_status.is_some(),
            counts_requests: self.counts_requests,
            unix_millis: self.clock.unix_millis(),
        })
    }
}

/// Begins to count and to tell, until the tasks are dropped. What cannot be set up
/// is logged and left out or tried again: nginx is looked after all the same.
pub(crate) fn begin(
    options: &AgentOptions,
    exchange: &Arc<Exchange>,
    clock: Arc<dyn Clock>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let apply = &options.apply;
    let meters = &exchange.meters;
    if let Some(socket) = &apply.render.request_log {
        match RequestLog::open(socket, Arc::clone(meters)) {
            Ok(log) => {
                tasks.spawn(async move {
                    let _open = log;
                    std::future::pending().await
                });
            }
            Err(error) => {
                let socket = socket.display();
                warn!(%error, %socket, "requests are not counted: no socket for their log");
            }
        }
    }
    let told = &options.metrics;
    let counts_connections = stub_status::is_built_in(apply.render.modules.as_deref());
    if !counts_connections {
        warn!("nginx was built without http_stub_status_module: its connections are not counted");
    }
    let metrics = Arc::new(Metrics {
        meters: Arc::clone(meters),
        status: exchange.status.subscribe(),
        clock,
        stub_status: counts_connections.then(|| apply.layout.probe_socket()),
        counts_requests: apply
            .render
            .request_log
            .as_deref()
            .is_some_and(Path::exists),
    });
    if let Some(address) = told.listen {
        tasks.spawn(endpoint::serve(address, Arc::clone(&metrics)));
    }
    if let Some(server) = told.statsd.clone() {
        let metrics = Arc::clone(&metrics);
        tasks.spawn(statsd::tell(server, told.statsd_interval, metrics));
    }
    let interval = told.master_interval;
    tasks.spawn(batch::keep(metrics, interval, Arc::clone(exchange)));
    tasks
}

//! The master: two ports and the work behind them.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    builder::MasterBuilder,
    coordination::Fleet,
    data_dir::DataDir,
    keys::Keys,
    server::{Port, Served},
};

/// How often the certificate is looked at.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(12 * 3600);

/// A master whose ports are bound. [`run`](Self::run) serves them.
#[derive(Debug)]
pub struct Master {
    pub(crate) api: (Port, Served),
    pub(crate) agents: (Port, Served),
    pub(crate) agent_url: String,
    pub(crate) is_initialised: bool,
    pub(crate) fleet: Fleet,
    pub(crate) keys: Keys,
    pub(crate) stopping: CancellationToken,
}

/// Where a master is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Addresses {
    /// The port of people and tools.
    pub api: SocketAddr,
    /// Its URL: `http` on loopback, else `https`.
    pub api_url: String,
    /// The port of agents.
    pub agents: SocketAddr,
    /// What agents are told to connect to.
    pub agent_url: String,
}

/// Why a master stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A part of it ended or panicked. Everything else was stopped too.
    #[error("the {part} ended unexpectedly")]
    PartEnded {
        /// Which.
        part: &'static str,
        /// The panic, if it was one.
        source: Option<tokio::task::JoinError>,
    },
    /// The storage was too slow to take what agents told last. They will tell again.
    #[error("what agents told last could not be stored within {waited:?}")]
    NotStored {
        /// How long was waited.
        waited: Duration,
    },
}

impl Master {
    /// Begins to put a master together that keeps its keys in `data_dir`.
    pub fn builder(data_dir: DataDir) -> MasterBuilder {
        MasterBuilder::new(data_dir)
    }

    /// Where it is reached.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let (api, served) = &self.api;
        let scheme = if served.tls.is_some() {
            "https"
        } else {
            "http"
        };
        Addresses {
            api: api.address(),
            api_url: format!("{scheme}://{}", api.address()),
            agents: self.agents.0.address(),
            agent_url: self.agent_url.clone(),
        }
    }

    /// The certificate, in PEM, that agents and clients are to trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.keys.authority.pem()
    }

    /// Whether somebody can log in; if not, [`MasterBuilder::init`] is due.
    #[must_use]
    pub const fn is_initialised(&self) -> bool {
        self.is_initialised
    }

    /// Serves until `stop`. Then nothing new is accepted, open requests and
    /// sessions finish within the drain time, and what agents told is stored
    /// within as much again.
    ///
    /// # Errors
    ///
    /// [`RunError`] if a part fails; the master has stopped then.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self {
            api,
            agents,
            fleet,
            keys,
            stopping,
            ..
        } = self;
        // Sessions and long polls watch `stopping`; ports go first, the fleet
        // last, so that what agents say while draining is not lost.
        let drain = api.1.drain;
        let fleet_stop = CancellationToken::new();
        // Whoever drops this future stops everything too.
        let _guards = (
            stopping.clone().drop_guard(),
            fleet_stop.clone().drop_guard(),
        );
        let mut ports = JoinSet::new();
        for ((port, served), name) in [(api, "API port"), (agents, "agent port")] {
            let stopping = stopping.clone();
            ports.spawn(async move {
                port.serve(served, stopping).await;
                name
            });
        }
        let mut fleet = tokio::spawn({
            let stop = fleet_stop.clone();
            async move { fleet.run(stop).await }
        });
        let mut renewal = tokio::time::interval(RENEWAL_INTERVAL);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let failed = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break None,
                Some(ended) = ports.join_next() => break Some(match ended {
                    Ok(part) => RunError::PartEnded { part, source: None },
                    Err(error) => RunError::PartEnded { part: "port", source: Some(error) },
                }),
                ended = &mut fleet => {
                    return Err(RunError::PartEnded { part: "fleet", source: ended.err() });
                }
                _ = renewal.tick() => keys.renew_if_due(),
            }
        };
        info!("stopping");
        stopping.cancel();
        while ports.join_next().await.is_some() {}
        fleet_stop.cancel();
        let ended = timeout(drain, &mut fleet).await;
        match (failed, ended) {
            (Some(error), _) => Err(error),
            (None, Ok(Ok(()))) => Ok(()),
            (None, Ok(Err(error))) => Err(RunError::PartEnded {
                part: "fleet",
                source: Some(error),
            }),
            (None, Err(_)) => {
                fleet.abort();
                Err(RunError::NotStored { waited: drain })
            }
        }
    }
}

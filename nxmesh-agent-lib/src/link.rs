//! The agent's link to its master: enrols where that is to be done, then stays
//! connected.

use std::sync::Arc;

use nxmesh_core::contract::{clock::Clock, transport::Transport};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::error;
use uuid::Uuid;

use crate::{
    apply::chain,
    config::AgentOptions,
    enrol::Enrolment,
    error::AgentError,
    exchange::Exchange,
    identity::{Identity, IdentityStore},
    keyring::Keyring,
    pins::Pins,
    status::ConnectionState,
    transport::{
        Connection, ConnectionSequence, FailoverTransport, MasterOptions, Trust, logs::LogSource,
        message::Introduction,
    },
};

/// The way to the master.
struct Way {
    transport: Arc<dyn Transport>,
    /// `None` with a transport of the embedder's own.
    trust: Option<Trust>,
}

/// What leads to the master.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) options: AgentOptions,
    /// Replaces those of this library.
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: IdentityStore,
    pub(crate) exchange: Arc<Exchange>,
    /// What the master may look at.
    pub(crate) log: Arc<dyn LogSource>,
    /// When the agent started.
    pub(crate) started: Instant,
}

impl Link {
    /// Finds what is missing before anything is started.
    pub(crate) fn check(&self, identity: Option<&Identity>) -> Result<(), AgentError> {
        if identity.is_none() && self.options.bootstrap_token.is_none() {
            return Err(AgentError::NotEnrolled);
        }
        self.way(identity).map(drop)
    }

    /// Works until `stop`, or until the master refuses the enrolment. Without a
    /// usable `identity` there is nothing to do but to show why.
    pub(crate) async fn keep(
        self,
        identity: Result<Option<Identity>, AgentError>,
        stop: &CancellationToken,
    ) -> Result<(), AgentError> {
        let identity = match identity {
            Ok(identity) => identity,
            Err(error) => {
                self.show(&error);
                stop.cancelled().await;
                return Ok(());
            }
        };
        let render = &self.options.apply.render;
        let introduction = Introduction {
            boot_id: Uuid::new_v4().to_string(),
            hostname: self.hostname(),
            nginx_version: render.nginx.to_string(),
            nginx_modules: render
                .modules
                .iter()
                .flat_map(|it| it.iter().cloned())
                .collect(),
            nginx_mode: if render.whole_conf { "full" } else { "include" },
        };
        let identity = match identity {
            Some(identity) => identity,
            None => match self.enrolment(&introduction)?.run(stop).await? {
                Some(identity) => identity,
                None => return Ok(()),
            },
        };
        let agent_id = identity.credentials.agent_id.clone();
        self.exchange
            .status
            .send_modify(|status| status.agent_id = Some(agent_id));
        let state_dir = self.options.apply.layout.state_dir();
        let Way { transport, trust } = self.way(Some(&identity))?;
        let keys = Keyring::new(&identity, self.store.clone());
        let pins = trust.map(|trust| Pins {
            trust,
            store: self.store.clone(),
            given: self.options.master_ca.clone(),
        });
        let connection = Connection {
            transport,
            keys,
            options: self.options.connection,
            sequence: ConnectionSequence::new(
                state_dir.join("connection-sequence"),
                Arc::clone(&self.clock),
            ),
            clock: self.clock,
            introduction,
            exchange: self.exchange,
            log: self.log,
            started: self.started,
            pins,
        };
        connection.run(stop).await;
        Ok(())
    }

    fn show(&self, error: &AgentError) {
        let reason = chain(error);
        error!(
            reason,
            "no master can be reached; nginx is looked after with what is here"
        );
        let now = self.clock.unix_millis();
        self.exchange.status.send_modify(|status| {
            status.note_connection(ConnectionState::Error, now);
            status.connection.failures = 1;
            status.connection.last_error = Some(reason);
        });
    }

    fn enrolment(&self, introduction: &Introduction) -> Result<Enrolment, AgentError> {
        let token = self.options.bootstrap_token.clone();
        Ok(Enrolment {
            transport: self.way(None)?.transport,
            store: self.store.clone(),
            token: token.ok_or(AgentError::NotEnrolled)?,
            labels: self.options.labels.clone(),
            introduction: introduction.clone(),
            master_urls: self.options.master_urls.clone(),
            master_ca: self.options.master_ca.clone(),
            backoff: self.options.connection.backoff,
            clock: Arc::clone(&self.clock),
            exchange: Arc::clone(&self.exchange),
        })
    }

    fn way(&self, identity: Option<&Identity>) -> Result<Way, AgentError> {
        if let Some(transport) = &self.transport {
            return Ok(Way {
                transport: Arc::clone(transport),
                trust: None,
            });
        }
        let given = &self.options.master_urls;
        let urls = match identity {
            Some(known) if given.is_empty() => &known.master_urls,
            _ => given,
        };
        if urls.is_empty() {
            return Err(AgentError::NoMasterUrl);
        }
        // Whoever passes a CA anew means it: the master may have another by now.
        let pinned = identity.map(|known| known.master_ca.as_str());
        let given = self.options.master_ca.as_deref();
        let trusted: Vec<&str> = [pinned, given].into_iter().flatten().collect();
        if trusted.iter().all(|pem| pem.trim().is_empty()) {
            return Err(AgentError::NoMasterCa);
        }
        let trust = Trust::new(&trusted.join("\n")).map_err(AgentError::Trust)?;
        let connection = &self.options.connection;
        let mut masters = Vec::new();
        for url in urls {
            let options = MasterOptions {
                proxy: self.options.proxy.clone(),
                keepalive: connection.keepalive,
                clock: Arc::clone(&self.clock),
                ..MasterOptions::new(url.clone(), trust.clone())
            };
            let transport = self.options.transport;
            let master = transport
                .transport(options, connection.grpc_pauses)
                .map_err(AgentError::Transport)?;
            masters.push(master);
        }
        let transport = FailoverTransport::new(masters).ok_or(AgentError::NoMasterUrl)?;
        Ok(Way {
            transport: Arc::new(transport),
            trust: Some(trust),
        })
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

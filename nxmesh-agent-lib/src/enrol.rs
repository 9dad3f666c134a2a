//! The first contact: a token for an identity.

use std::{collections::BTreeMap, sync::Arc};

use nxmesh_core::{
    contract::{
        clock::Clock,
        transport::{Credentials, Transport, TransportError},
    },
    model::Labels,
    seal::SessionKey,
    wire::{RegisterAgentRequest, RegisterAgentResponse},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    error::AgentError,
    exchange::Exchange,
    identity::{BootstrapToken, Identity, IdentityStore},
    status::ConnectionState,
    transport::{
        Backoff, MasterUrl,
        message::{self, Introduction},
    },
};

/// An enrolment under way.
#[derive(Debug)]
pub(crate) struct Enrolment {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) store: IdentityStore,
    pub(crate) token: BootstrapToken,
    pub(crate) labels: Labels,
    pub(crate) introduction: Introduction,
    /// Remembered with the identity.
    pub(crate) master_urls: Vec<MasterUrl>,
    /// Trusted from then on if the master names no authority of its own.
    pub(crate) master_ca: Option<String>,
    pub(crate) backoff: Backoff,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) exchange: Arc<Exchange>,
}

impl Enrolment {
    /// Asks until the master answers. A lost reply is harmless: the same token
    /// with the same install id gets the same identity.
    ///
    /// # Errors
    ///
    /// [`AgentError::EnrolmentRefused`], or one of storing the identity.
    /// `None` if stopped before.
    pub(crate) async fn run(
        self,
        stop: &CancellationToken,
    ) -> Result<Option<Identity>, AgentError> {
        let install_id = self.store.install_id().map_err(AgentError::Identity)?;
        let mut failures = 0;
        loop {
            self.note(ConnectionState::Connect, failures, None);
            let asked = tokio::select! {
                () = stop.cancelled() => return Ok(None),
                asked = self.transport.enrol(self.request(&install_id)) => asked,
            };
            let error = match asked {
                Ok(response) => return self.keep(response).map(Some),
                Err(TransportError::Refused { reason }) => {
                    return Err(AgentError::EnrolmentRefused { reason });
                }
                Err(error) => error,
            };
            failures += 1;
            let pause = self.backoff.delay(failures);
            let reason = match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            };
            warn!(reason, pause_ms = pause.as_millis(), "not enrolled yet");
            self.note(ConnectionState::Retry, failures, Some(reason));
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn request(&self, install_id: &str) -> RegisterAgentRequest {
        let labels: BTreeMap<String, String> = self
            .labels
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        RegisterAgentRequest {
            bootstrap_token: self.token.expose().to_owned(),
            install_id: install_id.to_owned(),
            hostname: self.introduction.hostname.clone(),
            labels,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            nginx_version: self.introduction.nginx_version.clone(),
            capabilities: message::capabilities(),
        }
    }

    fn keep(self, response: RegisterAgentResponse) -> Result<Identity, AgentError> {
        let unusable = |reason: &str| AgentError::EnrolmentRefused {
            reason: format!("its answer cannot be used: {reason}"),
        };
        let identity = Identity {
            credentials: Credentials {
                agent_id: response
                    .agent_id
                    .parse()
                    .map_err(|_| unusable("the agent id is not a UUID"))?,
                key_id: response.key_id,
                session_key: SessionKey::from_slice(&response.session_key)
                    .ok_or_else(|| unusable("the session key is not 32 bytes long"))?,
            },
            next: None,
            master_ca: Some(response.master_ca)
                .filter(|pem| !pem.trim().is_empty())
                .or(self.master_ca)
                .unwrap_or_default(),
            master_urls: self.master_urls,
            workspace: response.workspace,
        };
        self.store.store(&identity).map_err(AgentError::Identity)?;
        info!(
            agent_id = %identity.credentials.agent_id,
            workspace = identity.workspace,
            "enrolled"
        );
        Ok(identity)
    }

    fn note(&self, state: ConnectionState, failures: u32, error: Option<String>) {
        let now = self.clock.unix_millis();
        self.exchange.status.send_modify(|status| {
            status.note_connection(state, now);
            let connection = &mut status.connection;
            connection.failures = failures;
            if error.is_some() {
                connection.last_error = error;
            }
        });
    }
}

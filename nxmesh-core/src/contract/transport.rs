//! How agents reach their master.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::BoxError;
use crate::{
    model::AgentId,
    seal::SessionKey,
    wire::{
        AgentMessage, HealthReport, MasterMessage, MetricsBatch, RegisterAgentRequest,
        RegisterAgentResponse,
    },
};

/// Who an enrolled agent is, towards its master.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The agent.
    pub agent_id: AgentId,
    /// Which of its keys signs.
    pub key_id: String,
    /// The key.
    pub session_key: SessionKey,
}

/// Reaches a master. The agent's half; masters accept the other.
///
/// Signing, sealing and sequence numbers are the transport's business: callers
/// see messages that are genuine and in order.
///
/// # Contract
///
/// 1. `enrol` passes a refusal on as `Refused` and never retries by itself.
/// 2. A message for which `send` returned `Ok` arrives once, in order, or the
///    session ends: nothing is skipped silently.
/// 3. When the peer is gone, `receive` fails or returns `None` in bounded time.
/// 4. Messages that are forged, replayed or reordered are never received; the
///    session ends with an error.
/// 5. Dropping the session closes it for the peer.
/// 6. A report for which `Ok` was returned was taken in whole, once, and needs no
///    session; `Refused` passes a refusal on. None is retried by itself, but for a
///    date that the master corrects.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Stable short name for metric labels and errors, for example `"grpc"`.
    fn backend(&self) -> &'static str;

    /// Trades a bootstrap token for an identity.
    ///
    /// # Errors
    ///
    /// [`TransportError`]
    async fn enrol(
        &self,
        request: RegisterAgentRequest,
    ) -> Result<RegisterAgentResponse, TransportError>;

    /// Opens a session.
    ///
    /// # Errors
    ///
    /// [`TransportError`]
    async fn connect(&self, credentials: &Credentials) -> Result<Session, TransportError>;

    /// Fetches the content of an offered update; the caller verifies the digest.
    ///
    /// # Errors
    ///
    /// [`TransportError`]
    async fn fetch_bundle(
        &self,
        credentials: &Credentials,
        digest: Bytes,
        size_bytes: u64,
    ) -> Result<Bytes, TransportError>;

    /// Tells by a call of its own how the agent is: for where calls get through
    /// and sessions do not last.
    ///
    /// # Errors
    ///
    /// [`TransportError`]
    async fn report_health(
        &self,
        credentials: &Credentials,
        report: HealthReport,
    ) -> Result<(), TransportError>;

    /// As [`report_health`](Self::report_health), for what the agent counts.
    ///
    /// # Errors
    ///
    /// [`TransportError`]
    async fn report_metrics(
        &self,
        credentials: &Credentials,
        batch: MetricsBatch,
    ) -> Result<(), TransportError>;
}

/// An open session: its two directions, each to be used by one task.
#[derive(Debug)]
pub struct Session {
    /// Towards the master.
    pub sender: Box<dyn SessionSender>,
    /// From the master.
    pub receiver: Box<dyn SessionReceiver>,
}

/// The sending half of a session.
#[async_trait]
pub trait SessionSender: fmt::Debug + Send + 'static {
    /// Sends one message; waits while the peer is slow. The transport fills in
    /// `agent_id`, `sequence` and `seal`.
    ///
    /// # Errors
    ///
    /// [`TransportError::Closed`] or [`TransportError::Unreachable`]; the
    /// session is over then.
    async fn send(&mut self, message: AgentMessage) -> Result<(), TransportError>;
}

/// The receiving half of a session.
#[async_trait]
pub trait SessionReceiver: fmt::Debug + Send + 'static {
    /// The next message; `None` when the master closed the session in order.
    ///
    /// # Errors
    ///
    /// [`TransportError`]; the session is over then.
    async fn receive(&mut self) -> Result<Option<MasterMessage>, TransportError>;
}

/// Why the master was not reached, or refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The master cannot be reached now; worth retrying with backoff.
    #[error("could not reach the master at {url}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened.
        source: BoxError,
    },
    /// The master answered, and will not have this agent or token; retrying
    /// without a change cannot help.
    #[error("the master refused: {reason}")]
    Refused {
        /// In the master's words.
        reason: String,
    },
    /// A message was not what its sender sealed, or came out of order.
    #[error("the session is not genuine: {reason}")]
    NotGenuine {
        /// What was wrong with it.
        reason: String,
    },
    /// The session is over.
    #[error("the session with the master is closed")]
    Closed,
}

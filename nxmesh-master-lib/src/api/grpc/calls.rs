//! What agents can ask for, whichever protocol brings it.

use std::{pin::Pin, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, HeaderValue};
use nxmesh_core::{
    digest::Digest,
    wire::{
        Ack, FetchBundleRequest, HealthReport, MetricsBatch, RegisterAgentRequest,
        RegisterAgentResponse,
    },
};
use prost::Message;
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    signed::{Caller, Heard},
    stream::Conversation,
};
use crate::coordination::{EnrolError, Fleet};

/// Handshakes at work at the same time; others wait.
const MOST_HANDSHAKES: usize = 64;
/// Enrolments at work at the same time; others wait.
const MOST_ENROLMENTS: usize = 4;
/// How long either may wait for its turn.
const WAIT: Duration = Duration::from_secs(5);
/// Frames that may wait for a slow agent.
const FRAMES_IN_FLIGHT: usize = 4;

/// Frames of a session; an error is its last.
pub(in crate::api) type Frames = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// The calls of one master. A call is signed for the path it came by.
#[derive(Debug)]
pub(in crate::api) struct Calls {
    fleet: Fleet,
    /// What agents are to trust, in PEM.
    master_ca: Arc<str>,
    stop: CancellationToken,
    handshakes: Arc<Semaphore>,
    /// Apart, because anyone may try to enrol.
    enrolments: Semaphore,
    heard: Heard,
}

impl Calls {
    pub(in crate::api) fn new(fleet: Fleet, master_ca: String, stop: CancellationToken) -> Self {
        Self {
            fleet,
            master_ca: master_ca.into(),
            stop,
            handshakes: Arc::new(Semaphore::new(MOST_HANDSHAKES)),
            enrolments: Semaphore::new(MOST_ENROLMENTS),
            heard: Heard::default(),
        }
    }

    /// Trades a token for an identity: `RegisterAgentRequest` in, `RegisterAgentResponse` out.
    pub(in crate::api) async fn register(&self, body: &Bytes) -> Result<Bytes, Status> {
        let request: RegisterAgentRequest = decode(body)?;
        let _turn = turn(self.enrolments.acquire()).await?;
        let enrolled = self.fleet.enrol(&request).await.map_err(|error| {
            let words = error.to_string();
            match error {
                EnrolError::Refused(_) => Status::permission_denied(words),
                EnrolError::Invalid { .. } => Status::invalid_argument(words),
                EnrolError::NoRandomness => Status::internal(words),
                EnrolError::Storage(error) => {
                    tracing::error!(%error, "an enrolment could not be stored");
                    Status::unavailable("the enrolment could not be stored; try again later")
                }
            }
        })?;
        Ok(encode(&RegisterAgentResponse {
            agent_id: enrolled.id.to_string(),
            key_id: enrolled.key.id,
            session_key: Bytes::copy_from_slice(enrolled.key.secret.expose()),
            heartbeat_interval_seconds: heartbeat_seconds(&self.fleet),
            master_ca: self.master_ca.to_string(),
            workspace: enrolled.workspace.to_string(),
        }))
    }

    /// Proves who opens a stream.
    pub(in crate::api) async fn open(
        &self,
        headers: &HeaderMap,
        method: &str,
    ) -> Result<Opening, Status> {
        let caller = Caller::prove(&self.fleet, headers, method, b"")?;
        let turn = turn(Arc::clone(&self.handshakes).acquire_owned()).await?;
        let mut nonce = [0; 16];
        aws_lc_rs::rand::fill(&mut nonce)
            .map_err(|_| Status::internal("the system has no randomness for a nonce"))?;
        let header = HeaderValue::try_from(STANDARD_NO_PAD.encode(nonce))
            .map_err(|_| Status::internal("the session nonce is not a header value"))?;
        let mut session_nonce = BytesMut::from(&nonce[..]);
        session_nonce.put_slice(caller.nonce.as_bytes());
        Ok(Opening {
            fleet: self.fleet.clone(),
            master_ca: Arc::clone(&self.master_ca),
            stop: self.stop.clone(),
            caller,
            turn,
            nonce: session_nonce.freeze(),
            header,
        })
    }

    /// What `FetchBundleRequest` asks for, from its offset, and the offset.
    pub(in crate::api) fn bundle(
        &self,
        headers: &HeaderMap,
        method: &str,
        body: &Bytes,
    ) -> Result<(usize, Bytes), Status> {
        let (caller, wanted) = self.unary::<FetchBundleRequest>(headers, method, body)?;
        let content = Digest::from_bytes(&wanted.digest)
            .and_then(|digest| self.fleet.offered_content(&caller.agent, &digest))
            .ok_or_else(|| {
                Status::not_found("no such bundle is on offer to this agent; await the next offer")
            })?;
        let bytes = content.bytes();
        let start = usize::try_from(wanted.offset)
            .ok()
            .filter(|start| *start <= bytes.len())
            .ok_or_else(|| Status::out_of_range("the offset is beyond the end of the bundle"))?;
        Ok((start, bytes.slice(start..)))
    }

    /// Takes a `HealthReport` from an agent whose stream is down.
    pub(in crate::api) fn report_health(
        &self,
        headers: &HeaderMap,
        method: &str,
        body: &Bytes,
    ) -> Result<Bytes, Status> {
        let (caller, report) = self.report::<HealthReport>(headers, method, body)?;
        self.fleet.report_health(&caller.agent, &report);
        Ok(encode(&Ack::default()))
    }

    /// Takes a `MetricsBatch` from an agent whose stream is down.
    pub(in crate::api) fn report_metrics(
        &self,
        headers: &HeaderMap,
        method: &str,
        body: &Bytes,
    ) -> Result<Bytes, Status> {
        let (caller, batch) = self.report::<MetricsBatch>(headers, method, body)?;
        self.fleet.report_metrics(&caller.agent, &batch);
        Ok(encode(&Ack::default()))
    }

    /// As [`unary`](Self::unary), from an agent that is one.
    fn report<M: Message + Default>(
        &self,
        headers: &HeaderMap,
        method: &str,
        body: &Bytes,
    ) -> Result<(Caller, M), Status> {
        let (caller, report) = self.unary(headers, method, body)?;
        if self.fleet.is_quarantined(&caller.agent) {
            return Err(Status::permission_denied(format!(
                "agent {} is in quarantine: two machines have its identity",
                caller.agent
            )));
        }
        Ok((caller, report))
    }

    /// Proves and decodes a unary call.
    fn unary<M: Message + Default>(
        &self,
        headers: &HeaderMap,
        method: &str,
        body: &Bytes,
    ) -> Result<(Caller, M), Status> {
        let caller = Caller::prove(&self.fleet, headers, method, body)?;
        let now = self.fleet.clock().unix_millis();
        self.heard.admit(&caller, now, method)?;
        Ok((caller, decode(body)?))
    }
}

/// A stream whose opening was signed.
#[derive(Debug)]
pub(in crate::api) struct Opening {
    fleet: Fleet,
    master_ca: Arc<str>,
    stop: CancellationToken,
    caller: Caller,
    turn: OwnedSemaphorePermit,
    nonce: Bytes,
    header: HeaderValue,
}

impl Opening {
    /// What the agent is told for `SESSION_NONCE`.
    pub(in crate::api) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Talks with the agent in a task of its own until `incoming` ends, the
    /// receiver of what is to be sent is dropped, or the master stops.
    pub(in crate::api) fn begin(self, incoming: Frames) -> mpsc::Receiver<Result<Bytes, Status>> {
        let (frames, outgoing) = mpsc::channel(FRAMES_IN_FLIGHT);
        let conversation = Conversation::new(
            self.fleet,
            self.master_ca,
            self.caller,
            self.nonce,
            incoming,
            frames,
        );
        tokio::spawn(conversation.run(self.turn, self.stop));
        outgoing
    }
}

async fn turn<P>(turn: impl Future<Output = Result<P, AcquireError>>) -> Result<P, Status> {
    match timeout(WAIT, turn).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Status::unavailable(
            "too many agents connect at the same time; try again later",
        )),
    }
}

fn decode<M: Message + Default>(body: &Bytes) -> Result<M, Status> {
    M::decode(body.clone()).map_err(|error| {
        Status::invalid_argument(format!("the message cannot be decoded: {error}"))
    })
}

pub(super) fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

/// The heartbeat interval as agents are told it: whole seconds, at least one.
pub(super) fn heartbeat_seconds(fleet: &Fleet) -> u32 {
    u32::try_from(fleet.options().heartbeat_interval.as_secs())
        .unwrap_or(u32::MAX)
        .max(1)
}

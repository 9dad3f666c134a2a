//! The calls of the agent protocol.

use std::{pin::Pin, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, stream};
use nxmesh_core::{
    digest::Digest,
    seal::request::SESSION_NONCE,
    wire::{
        Ack, BundleChunk, FetchBundleRequest, HealthReport, MetricsBatch, RegisterAgentRequest,
        RegisterAgentResponse,
    },
};
use prost::Message;
use tokio::{
    sync::{AcquireError, Semaphore, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, metadata::AsciiMetadataValue};

use super::{
    generated::AgentService,
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
const CHUNK_BYTES: usize = 32 << 10;

const STREAM: &str = "/nxmesh.agent.AgentService/Stream";
const FETCH_BUNDLE: &str = "/nxmesh.agent.AgentService/FetchBundle";
const REPORT_HEALTH: &str = "/nxmesh.agent.AgentService/ReportHealth";
const REPORT_METRICS: &str = "/nxmesh.agent.AgentService/ReportMetrics";

type Frames = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// The agent service of one master.
#[derive(Debug)]
pub(super) struct Service {
    fleet: Fleet,
    master_ca: String,
    stop: CancellationToken,
    handshakes: Arc<Semaphore>,
    /// Apart, because anyone may try to enrol.
    enrolments: Semaphore,
    heard: Heard,
}

impl Service {
    pub(super) fn new(fleet: Fleet, master_ca: String, stop: CancellationToken) -> Self {
        Self {
            fleet,
            master_ca,
            stop,
            handshakes: Arc::new(Semaphore::new(MOST_HANDSHAKES)),
            enrolments: Semaphore::new(MOST_ENROLMENTS),
            heard: Heard::default(),
        }
    }

    /// Proves and decodes a unary call.
    fn unary<M: Message + Default>(
        &self,
        request: &Request<Bytes>,
        method: &str,
    ) -> Result<(Caller, M), Status> {
        let caller = Caller::prove(&self.fleet, request.metadata(), method, request.get_ref())?;
        let now = self.fleet.clock().unix_millis();
        self.heard.admit(&caller, now, method)?;
        Ok((caller, decode(request.get_ref())?))
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

fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

#[tonic::async_trait]
impl AgentService for Service {
    async fn register_agent(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let request: RegisterAgentRequest = decode(request.get_ref())?;
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
        Ok(Response::new(encode(&RegisterAgentResponse {
            agent_id: enrolled.id.to_string(),
            key_id: enrolled.key.id,
            session_key: Bytes::copy_from_slice(enrolled.key.secret.expose()),
            heartbeat_interval_seconds: heartbeat_seconds(&self.fleet),
            master_ca: self.master_ca.clone(),
            workspace: enrolled.workspace.to_string(),
        })))
    }

    type StreamStream = Frames;

    async fn stream(&self, request: Request<Streaming<Bytes>>) -> Result<Response<Frames>, Status> {
        let caller = Caller::prove(&self.fleet, request.metadata(), STREAM, b"")?;
        let turn = turn(Arc::clone(&self.handshakes).acquire_owned()).await?;
        let mut nonce = [0; 16];
        aws_lc_rs::rand::fill(&mut nonce)
            .map_err(|_| Status::internal("the system has no randomness for a nonce"))?;
        let header = AsciiMetadataValue::try_from(STANDARD_NO_PAD.encode(nonce))
            .map_err(|_| Status::internal("the session nonce is not a header value"))?;
        let mut session_nonce = BytesMut::from(&nonce[..]);
        session_nonce.put_slice(caller.nonce.as_bytes());
        let (frames, outgoing) = mpsc::channel(FRAMES_IN_FLIGHT);
        let conversation = Conversation::new(
            self.fleet.clone(),
            caller,
            session_nonce.freeze(),
            request.into_inner(),
            frames,
        );
        let stop = self.stop.clone();
        tokio::spawn(conversation.run(turn, stop));
        let mut response: Response<Frames> = Response::new(Box::pin(ReceiverStream::new(outgoing)));
        response.metadata_mut().insert(SESSION_NONCE, header);
        Ok(response)
    }

    type FetchBundleStream = Frames;

    async fn fetch_bundle(&self, request: Request<Bytes>) -> Result<Response<Frames>, Status> {
        let (caller, wanted) = self.unary::<FetchBundleRequest>(&request, FETCH_BUNDLE)?;
        let content = Digest::from_bytes(&wanted.digest)
            .and_then(|digest| self.fleet.offered_content(&caller.agent, &digest))
            .ok_or_else(|| {
                Status::not_found("no such bundle is on offer to this agent; await the next offer")
            })?;
        let bytes = content.bytes().clone();
        let start = usize::try_from(wanted.offset)
            .ok()
            .filter(|start| *start <= bytes.len())
            .ok_or_else(|| Status::out_of_range("the offset is beyond the end of the bundle"))?;
        let chunks = (start..bytes.len()).step_by(CHUNK_BYTES).map(move |at| {
            Ok(encode(&BundleChunk {
                offset: at as u64,
                data: bytes.slice(at..bytes.len().min(at + CHUNK_BYTES)),
            }))
        });
        Ok(Response::new(Box::pin(stream::iter(chunks))))
    }

    async fn report_health(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let (caller, report) = self.unary::<HealthReport>(&request, REPORT_HEALTH)?;
        self.fleet.report_health(&caller.agent, &report);
        Ok(Response::new(encode(&Ack::default())))
    }

    async fn report_metrics(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let (caller, _) = self.unary::<MetricsBatch>(&request, REPORT_METRICS)?;
        self.fleet.heard(&caller.agent);
        Ok(Response::new(encode(&Ack::default())))
    }
}

/// The heartbeat interval as agents are told it: whole seconds, at least one.
pub(super) fn heartbeat_seconds(fleet: &Fleet) -> u32 {
    u32::try_from(fleet.options().heartbeat_interval.as_secs())
        .unwrap_or(u32::MAX)
        .max(1)
}

//! gRPC over TLS, the usual way to the master.

mod bundle;
pub(crate) mod codec;
mod failure;
mod generated;
mod session;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use base64::{
    Engine as _,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig},
    },
};
use bytes::{Bytes, BytesMut};
use nxmesh_core::{
    contract::{
        BoxError,
        clock::{Clock, SystemClock},
        transport::{Credentials, Session, Transport, TransportError},
    },
    seal::{
        request::{SESSION_NONCE, SignedHeaders},
        stream::{Direction, MAX_FRAME_BYTES, Opener, Sealer},
    },
    wire::{RegisterAgentRequest, RegisterAgentResponse},
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use generated::AgentServiceClient;
use session::{GrpcReceiver, GrpcSender};
pub use url::{InvalidMasterUrl, MasterUrl};

/// Frames that may wait for the network before `send` waits.
const FRAMES_IN_FLIGHT: usize = 16;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a master is reached.
#[derive(Debug, Clone)]
pub struct GrpcOptions {
    /// Where it is.
    pub url: MasterUrl,
    /// The authorities, in PEM, of which one must have issued its certificate.
    /// The machine's own list of authorities is not used.
    pub ca_pem: String,
    /// For TCP and the TLS handshake together. Default: 10 s.
    pub connect_timeout: Duration,
    /// How long a call may take to answer, and a bundle to bring its next
    /// chunk. Default: 30 s.
    pub call_timeout: Duration,
    /// A ping is sent after so long without traffic. Default: 10 s.
    pub keepalive_interval: Duration,
    /// The connection is given up so long after an unanswered ping. Default: 20 s.
    pub keepalive_timeout: Duration,
    /// Dates signatures. Default: the machine's clock.
    pub clock: Arc<dyn Clock>,
}

impl GrpcOptions {
    /// The defaults for the master at `url`, whose certificate `ca_pem` issued.
    #[must_use]
    pub fn new(url: MasterUrl, ca_pem: impl Into<String>) -> Self {
        Self {
            url,
            ca_pem: ca_pem.into(),
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(20),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why options do not make a transport.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrpcOptionsError {
    /// There is nothing to trust.
    #[error("the master's CA holds no certificate")]
    NoAuthority,
    /// The authority cannot be used.
    #[error("the master's CA is not usable")]
    Authority(#[source] BoxError),
    /// The URL cannot be used.
    #[error("the master's URL is not usable")]
    Url(#[source] BoxError),
}

/// Reaches a master over gRPC and TLS. All calls share one connection, which
/// is opened on the first and reopened when it broke.
#[derive(Debug)]
pub struct GrpcTransport {
    options: GrpcOptions,
    tls: Arc<rustls::ClientConfig>,
    endpoint: Endpoint,
    channel: OnceLock<Channel>,
}

impl GrpcTransport {
    /// Checks the options; connects to nothing.
    ///
    /// # Errors
    ///
    /// [`GrpcOptionsError`]
    pub fn new(options: GrpcOptions) -> Result<Self, GrpcOptionsError> {
        let endpoint = Endpoint::from_shared(options.url.to_string())
            .map_err(|error| GrpcOptionsError::Url(Box::new(error)))?
            .http2_keep_alive_interval(options.keepalive_interval)
            .keep_alive_timeout(options.keepalive_timeout)
            .keep_alive_while_idle(true);
        Ok(Self {
            tls: tls::client_config(&options.ca_pem)?,
            endpoint,
            options,
            channel: OnceLock::new(),
        })
    }

    fn client(&self) -> AgentServiceClient<Channel> {
        let channel = self.channel.get_or_init(|| {
            let connector = tls::connector(&self.options, Arc::clone(&self.tls));
            Channel::new(connector, self.endpoint.clone())
        });
        AgentServiceClient::new(channel.clone()).max_decoding_message_size(MAX_FRAME_BYTES)
    }

    /// A request with `body`, signed for `method`.
    fn signed(
        &self,
        credentials: &Credentials,
        method: &str,
        body: Bytes,
    ) -> Result<Request<Bytes>, TransportError> {
        let headers = self.headers(credentials, method, &body);
        let mut request = Request::new(body);
        self.put(&headers, request.metadata_mut())?;
        Ok(request)
    }

    fn headers(&self, credentials: &Credentials, method: &str, body: &[u8]) -> SignedHeaders {
        SignedHeaders::sign(
            &credentials.session_key,
            credentials.agent_id.clone(),
            &credentials.key_id,
            self.options.clock.unix_millis(),
            Uuid::new_v4().simple().to_string(),
            method,
            body,
        )
    }

    fn put(
        &self,
        headers: &SignedHeaders,
        metadata: &mut MetadataMap,
    ) -> Result<(), TransportError> {
        for (name, value) in headers.pairs() {
            let value = AsciiMetadataValue::try_from(value)
                .map_err(|error| failure::unreachable(&self.options.url, error))?;
            metadata.insert(name, value);
        }
        Ok(())
    }

    async fn within_limit<T>(
        &self,
        call: impl Future<Output = Result<T, Status>> + Send,
    ) -> Result<T, TransportError> {
        match tokio::time::timeout(self.options.call_timeout, call).await {
            Ok(answer) => answer.map_err(|status| failure::classify(&self.options.url, &status)),
            Err(elapsed) => Err(failure::unreachable(&self.options.url, elapsed)),
        }
    }
}

#[async_trait]
impl Transport for GrpcTransport {
    fn backend(&self) -> &'static str {
        "grpc"
    }

    async fn enrol(
        &self,
        request: RegisterAgentRequest,
    ) -> Result<RegisterAgentResponse, TransportError> {
        let request = Request::new(Bytes::from(request.encode_to_vec()));
        let mut client = self.client();
        let reply = self.within_limit(client.register_agent(request)).await?;
        RegisterAgentResponse::decode(reply.into_inner())
            .map_err(|error| failure::unreachable(&self.options.url, error))
    }

    async fn connect(&self, credentials: &Credentials) -> Result<Session, TransportError> {
        let headers = self.headers(credentials, "/nxmesh.agent.AgentService/Stream", b"");
        let (frames, outgoing) = mpsc::channel(FRAMES_IN_FLIGHT);
        let mut request = Request::new(ReceiverStream::new(outgoing));
        self.put(&headers, request.metadata_mut())?;
        let mut client = self.client();
        let answer = self.within_limit(client.stream(request)).await?;
        let nonce = session_nonce(answer.metadata(), &headers.nonce)?;
        let key = &credentials.session_key;
        Ok(Session {
            sender: Box::new(GrpcSender {
                agent_id: credentials.agent_id.clone(),
                sealer: Sealer::new(key.clone(), nonce.clone(), Direction::ToMaster),
                frames,
            }),
            receiver: Box::new(GrpcReceiver {
                url: self.options.url.clone(),
                opener: Opener::new(key.clone(), nonce, Direction::ToAgent),
                frames: Some(answer.into_inner()),
            }),
        })
    }

    async fn fetch_bundle(
        &self,
        credentials: &Credentials,
        digest: Bytes,
        size_bytes: u64,
    ) -> Result<Bytes, TransportError> {
        self.fetch(credentials, digest, size_bytes).await
    }
}

/// What the session's seals are bound to: the master's nonce, so that the
/// agent's frames cannot be replayed to it, then the agent's own, so that the
/// master's cannot be replayed to the agent.
fn session_nonce(answer: &MetadataMap, own: &str) -> Result<Bytes, TransportError> {
    let masters = answer
        .get(SESSION_NONCE)
        .and_then(|value| BASE64.decode(value.as_bytes()).ok())
        .filter(|nonce| (16..=64).contains(&nonce.len()))
        .ok_or_else(|| TransportError::NotGenuine {
            reason: format!("the master's answer has no usable {SESSION_NONCE}"),
        })?;
    let mut nonce = BytesMut::from(&masters[..]);
    nonce.extend_from_slice(own.as_bytes());
    Ok(nonce.freeze())
}

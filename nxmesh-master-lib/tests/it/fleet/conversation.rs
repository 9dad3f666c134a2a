//! The agent's side of the protocol, spelled out by hand.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use nxmesh_core::{
    digest::Digest,
    seal::{
        request::{SESSION_NONCE, SignedHeaders},
        stream::{Direction, Opener, Sealer},
    },
    wire::{
        AgentMessage, ConfigFailure, ConfigPhase, ConfigStatus, ConfigUpdate, HealthReport,
        MasterMessage, RegistrationRequest, Version, agent_message::Payload, master_message,
    },
};
use prost::Message;
use tokio::{
    sync::mpsc,
    time::{error::Elapsed, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

use super::{Agent, Master, NOW};

/// Bytes as they are.
#[derive(Default, Clone, Copy)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

pub(crate) fn path(method: &str) -> String {
    format!("/nxmesh.agent.AgentService/{method}")
}

pub(crate) async fn ready(channel: &Channel) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(grpc)
}

/// A unary call.
pub(crate) async fn call<Q: Message, A: Message + Default>(
    channel: &Channel,
    method: &str,
    request: Request<Q>,
) -> Result<A, Status> {
    let request = request.map(|message| Bytes::from(message.encode_to_vec()));
    let path = path(method).parse().expect("a path");
    let answer = ready(channel).await?.unary(request, path, Raw).await?;
    Ok(A::decode(answer.into_inner()).expect("an answer"))
}

impl Agent {
    /// The headers of a call, signed by the book.
    pub(crate) fn headers(&self, method: &str, body: &[u8], nonce: &str) -> SignedHeaders {
        self.headers_at(NOW, method, body, nonce)
    }

    pub(crate) fn headers_at(
        &self,
        timestamp: u64,
        method: &str,
        body: &[u8],
        nonce: &str,
    ) -> SignedHeaders {
        let (id, key_id) = (self.id.clone(), self.key_id.clone());
        SignedHeaders::sign(&self.key, id, key_id, timestamp, nonce, &path(method), body)
    }

    /// Opens a stream with these headers; nothing is sent yet.
    pub(crate) async fn open(
        &self,
        channel: &Channel,
        headers: &SignedHeaders,
    ) -> Result<Conversation, Status> {
        let (frames, outgoing) = mpsc::channel(16);
        let request = with(headers, Request::new(ReceiverStream::new(outgoing)));
        let path = path("Stream").parse().expect("a path");
        let answer: Response<Streaming<Bytes>> =
            ready(channel).await?.streaming(request, path, Raw).await?;
        let nonce = answer
            .metadata()
            .get(SESSION_NONCE)
            .expect("a session nonce");
        let nonce = STANDARD_NO_PAD.decode(nonce.as_bytes()).expect("base64");
        assert_eq!(nonce.len(), 16);
        let mut bound = BytesMut::from(&nonce[..]);
        bound.extend_from_slice(headers.nonce.as_bytes());
        let bound = bound.freeze();
        Ok(Conversation {
            agent: self.id.to_string(),
            only_key: String::new(),
            sealer: Sealer::new(self.key.clone(), bound.clone(), Direction::ToMaster),
            opener: Opener::new(self.key.clone(), bound, Direction::ToAgent),
            frames,
            incoming: answer.into_inner(),
        })
    }

    /// Connects and says hello.
    pub(crate) async fn connect(&mut self, master: &Master, hello: Hello) -> Conversation {
        self.try_connect(master, hello).await.expect("a session")
    }

    pub(crate) async fn try_connect(
        &mut self,
        master: &Master,
        hello: Hello,
    ) -> Result<Conversation, Status> {
        self.sequence += 1;
        let nonce = format!("{:016}", self.sequence);
        let headers = self.headers("Stream", b"", &nonce);
        let mut conversation = self.open(&master.channel(), &headers).await?;
        conversation
            .send(Payload::Register(self.hello(hello)))
            .await;
        let welcome = conversation.receive().await?;
        match welcome.and_then(|message| message.payload) {
            Some(master_message::Payload::RegisterResponse(response)) => {
                assert_eq!(response.protocol, 1);
                conversation.only_key = response.key_id;
                Ok(conversation)
            }
            other => panic!("not a welcome: {other:?}"),
        }
    }

    pub(crate) fn hello(&self, hello: Hello) -> RegistrationRequest {
        RegistrationRequest {
            agent_id: self.id.to_string(),
            boot_id: hello.boot_id.to_owned(),
            connection_sequence: self.sequence,
            protocol_min: 1,
            protocol_max: 1,
            accepted: hello.accepted.map(version),
            applied: hello.applied.map(version),
            applied_digest: hello.applied_digest,
            hostname: hello.hostname.to_owned(),
            agent_version: "0.1.0".to_owned(),
            nginx_version: "1.22.1".to_owned(),
            nginx_modules: vec!["http_ssl_module".to_owned()],
            nginx_mode: "include".to_owned(),
            capabilities: match hello.rotates {
                true => vec!["key.rotation".to_owned()],
                false => Vec::new(),
            },
            ..RegistrationRequest::default()
        }
    }
}

pub(crate) fn version(revision: u64) -> Version {
    Version { epoch: 1, revision }
}

/// What an agent tells of its disk.
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) boot_id: &'static str,
    pub(crate) hostname: &'static str,
    pub(crate) accepted: Option<u64>,
    pub(crate) applied: Option<u64>,
    pub(crate) applied_digest: Bytes,
    /// Whether it can change its key.
    pub(crate) rotates: bool,
}

impl Hello {
    /// Nothing was ever applied.
    pub(crate) const fn fresh() -> Self {
        Self {
            boot_id: "boot-1",
            hostname: "web-1",
            accepted: None,
            applied: None,
            applied_digest: Bytes::new(),
            rotates: true,
        }
    }

    /// `update` is applied.
    pub(crate) fn applied(update: &ConfigUpdate) -> Self {
        Self {
            accepted: Some(update.version),
            applied: Some(update.version),
            applied_digest: update.digest.clone(),
            ..Self::fresh()
        }
    }
}

/// An open stream.
pub(crate) struct Conversation {
    agent: String,
    /// The only key of the agent that is taken, as it was told; empty if two are.
    pub(crate) only_key: String,
    pub(crate) sealer: Sealer,
    opener: Opener,
    pub(crate) frames: mpsc::Sender<Bytes>,
    incoming: Streaming<Bytes>,
}

impl Conversation {
    pub(crate) fn message(&self, payload: Payload) -> AgentMessage {
        AgentMessage {
            agent_id: self.agent.clone(),
            timestamp: NOW,
            payload: Some(payload),
            sequence: self.sealer.next_sequence(),
            seal: Bytes::new(),
        }
    }

    pub(crate) async fn send(&mut self, payload: Payload) {
        let message = self.message(payload);
        let frame = self.sealer.seal(&message);
        drop(self.frames.send(frame).await);
    }

    /// The next message; an error if the master ended the stream with one.
    pub(crate) async fn receive(&mut self) -> Result<Option<MasterMessage>, Status> {
        let Some(frame) = self.incoming.message().await? else {
            return Ok(None);
        };
        Ok(Some(self.opener.open(&frame).expect("a genuine frame")))
    }

    /// The next update.
    pub(crate) async fn update(&mut self) -> ConfigUpdate {
        self.update_within(Duration::from_secs(60))
            .await
            .expect("an update")
    }

    pub(crate) async fn update_within(&mut self, span: Duration) -> Result<ConfigUpdate, Elapsed> {
        let message = timeout(span, self.receive()).await?;
        match message.expect("the session goes on") {
            Some(MasterMessage {
                payload: Some(master_message::Payload::ConfigUpdate(update)),
                ..
            }) => {
                assert_eq!(
                    update.config_id,
                    Digest::from_bytes(&update.digest)
                        .expect("a digest")
                        .to_string()
                );
                Ok(update)
            }
            other => panic!("not an update: {other:?}"),
        }
    }

    /// Asserts that nothing is sent for a while.
    pub(crate) async fn is_left_alone(&mut self, span: Duration) {
        let sent = self.update_within(span).await;
        assert!(sent.is_err(), "was sent {sent:?}");
    }

    pub(crate) async fn tell(&mut self, update: &ConfigUpdate, phase: ConfigPhase) {
        self.tell_failure(update, phase, None).await;
    }

    pub(crate) async fn tell_failure(
        &mut self,
        update: &ConfigUpdate,
        phase: ConfigPhase,
        failure: Option<ConfigFailure>,
    ) {
        let status = ConfigStatus {
            version: Some(version(update.version)),
            digest: update.digest.clone(),
            phase: phase.into(),
            failure,
            ..ConfigStatus::default()
        };
        self.send(Payload::ConfigStatus(status)).await;
    }

    /// Goes through all phases of a good update.
    pub(crate) async fn apply(&mut self, update: &ConfigUpdate) {
        for phase in [
            ConfigPhase::Received,
            ConfigPhase::Staged,
            ConfigPhase::Applied,
        ] {
            self.tell(update, phase).await;
        }
    }

    pub(crate) async fn heartbeat(&mut self) {
        self.healthy(|_| {}).await;
    }

    /// Tells of an nginx that runs, but for what `change` does.
    pub(crate) async fn healthy(&mut self, change: impl FnOnce(&mut HealthReport)) {
        let mut health = HealthReport {
            nginx_running: true,
            ..HealthReport::default()
        };
        change(&mut health);
        self.send(Payload::Health(health)).await;
    }

    /// Why the master ended the stream.
    pub(crate) async fn ended(&mut self) -> Status {
        loop {
            let message = timeout(Duration::from_secs(600), self.receive()).await;
            match message.expect("the stream ends") {
                Ok(Some(_)) => {}
                Ok(None) => panic!("ended without a reason"),
                Err(status) => return status,
            }
        }
    }
}

pub(crate) fn failure(retryable: bool) -> Option<ConfigFailure> {
    Some(ConfigFailure {
        code: "NX-APPLY-005".to_owned(),
        message: "unknown directive \"foo\"".to_owned(),
        retryable,
        ..ConfigFailure::default()
    })
}

/// Puts the headers on a request.
pub(crate) fn with<T>(headers: &SignedHeaders, mut request: Request<T>) -> Request<T> {
    for (name, value) in headers.pairs() {
        request
            .metadata_mut()
            .insert(name, value.parse().expect("a header value"));
    }
    request
}

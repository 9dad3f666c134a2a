//! The transport against a real gRPC server behind real TLS.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use base64::Engine as _;
use bytes::Bytes;
use futures_util::Stream;
use nxmesh_core::{
    contract::{
        clock::{Clock as _, SystemClock},
        transport::{Credentials, Transport as _, TransportError},
    },
    digest::Digest,
    memory::Report,
    seal::{
        request::{SESSION_NONCE, SignedHeaders},
        stream::{Direction, Opener, Sealer},
    },
    testkit::{
        patience::patiently,
        transport::{Peer, Rig, credentials},
    },
    wire::{
        Ack, AgentMessage, BundleChunk, FetchBundleRequest, HealthReport, MasterMessage,
        MetricsBatch, RegisterAgentRequest, RegisterAgentResponse,
    },
};
use prost::Message as _;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    metadata::MetadataMap,
    server::{Grpc, NamedService, ServerStreamingService, StreamingService, UnaryService},
    transport::{Identity, Server, ServerTlsConfig},
};

use uuid::Uuid;

use super::*;
use crate::transport::{Keepalive, Trust, line::Line, sealed::BASE64};

nxmesh_core::transport_conformance!(GrpcRig);

const HEALTH: &str = "/nxmesh.agent.AgentService/ReportHealth";
const METRICS: &str = "/nxmesh.agent.AgentService/ReportMetrics";

type Frames = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
type Reply<T> = oneshot::Sender<Result<Response<T>, Status>>;
type Replying<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// A call that waits for what the test answers.
enum Call {
    Enrolment(Bytes, Reply<Bytes>),
    Session(MetadataMap, Streaming<Bytes>, Reply<Frames>),
    Bundle(MetadataMap, Bytes, Reply<Frames>),
    Report(&'static str, MetadataMap, Bytes, Reply<Bytes>),
}

/// Hands every call to the test.
#[derive(Clone)]
struct Service(mpsc::UnboundedSender<Call>);

impl NamedService for Service {
    const NAME: &'static str = "nxmesh.agent.AgentService";
}

impl Service {
    fn ask<T: Send + 'static>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Replying<T> {
        let (reply, replied) = oneshot::channel();
        assert!(self.0.send(call(reply)).is_ok(), "the test listens");
        Box::pin(async move { replied.await.expect("the test answers") })
    }
}

impl UnaryService<Bytes> for Service {
    type Response = Bytes;
    type Future = Replying<Bytes>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        self.ask(|reply| Call::Enrolment(request.into_inner(), reply))
    }
}

/// Takes reports at one path.
struct Reported(Service, &'static str);

impl UnaryService<Bytes> for Reported {
    type Response = Bytes;
    type Future = Replying<Bytes>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let Self(service, path) = self;
        let (metadata, _, body) = request.into_parts();
        service.ask(|reply| Call::Report(path, metadata, body, reply))
    }
}

impl ServerStreamingService<Bytes> for Service {
    type Response = Bytes;
    type ResponseStream = Frames;
    type Future = Replying<Frames>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (metadata, _, body) = request.into_parts();
        self.ask(|reply| Call::Bundle(metadata, body, reply))
    }
}

impl StreamingService<Bytes> for Service {
    type Response = Bytes;
    type ResponseStream = Frames;
    type Future = Replying<Frames>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (metadata, _, frames) = request.into_parts();
        self.ask(|reply| Call::Session(metadata, frames, reply))
    }
}

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(codec::RawCodec);
            Ok(match request.uri().path() {
                "/nxmesh.agent.AgentService/RegisterAgent" => grpc.unary(service, request).await,
                "/nxmesh.agent.AgentService/Stream" => grpc.streaming(service, request).await,
                "/nxmesh.agent.AgentService/FetchBundle" => {
                    grpc.server_streaming(service, request).await
                }
                HEALTH => grpc.unary(Reported(service, HEALTH), request).await,
                METRICS => grpc.unary(Reported(service, METRICS), request).await,
                other => panic!("no method {other}"),
            })
        })
    }
}

struct GrpcRig {
    calls: mpsc::UnboundedReceiver<Call>,
    line: Arc<Line>,
    options: MasterOptions,
    _server: JoinSet<()>,
}

impl GrpcRig {
    async fn next(&mut self) -> Call {
        self.calls.recv().await.expect("the server runs")
    }

    /// Answers the next fetch with `content` from where it is asked, but at
    /// most `limit` bytes before the call breaks.
    async fn part_of_bundle(&mut self, content: &Bytes, limit: usize) -> FetchBundleRequest {
        let Call::Bundle(metadata, body, reply) = self.next().await else {
            panic!("a fetch was expected");
        };
        verify(&metadata, "/nxmesh.agent.AgentService/FetchBundle", &body);
        let request = FetchBundleRequest::decode(body).unwrap();
        let from = usize::try_from(request.offset).unwrap();
        let until = content.len().min(from + limit);
        let broken = until < content.len();
        let part = content.slice(from..until);
        let mut frames = Vec::new();
        for (index, data) in part.chunks(32 << 10).enumerate() {
            let chunk = BundleChunk {
                offset: (from + index * (32 << 10)) as u64,
                data: Bytes::copy_from_slice(data),
            };
            frames.push(Ok(chunk.encode_to_vec().into()));
        }
        if broken {
            frames.push(Err(Status::unavailable("the connection broke")));
        }
        let frames: Frames = Box::pin(tokio_stream::iter(frames));
        reply.send(Ok(Response::new(frames))).ok();
        request
    }
}

fn verify(metadata: &MetadataMap, method: &str, body: &[u8]) -> SignedHeaders {
    let headers =
        SignedHeaders::read(|name| metadata.get(name).and_then(|value| value.to_str().ok()))
            .expect("signed");
    headers
        .verify(&credentials().session_key, method, body)
        .expect("signed rightly");
    headers
        .verify_fresh(SystemClock.unix_millis())
        .expect("fresh");
    headers
}

#[async_trait]
impl Rig for GrpcRig {
    type Subject = GrpcTransport;
    type Peer = GrpcPeer;

    async fn start() -> (Self, GrpcTransport) {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let ca_pem = issued.cert.pem();
        let identity = Identity::from_pem(&ca_pem, issued.signing_key.serialize_pem());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (line, port) = Line::lay(listener.local_addr().unwrap()).await;
        let (calls, incoming) = mpsc::unbounded_channel();
        let mut server = JoinSet::new();
        server.spawn(async move {
            Server::builder()
                .tls_config(ServerTlsConfig::new().identity(identity))
                .unwrap()
                .add_service(Service(calls))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        let url = format!("grpcs://localhost:{port}").parse().unwrap();
        let options = MasterOptions::new(url, Trust::new(&ca_pem).unwrap());
        let transport = GrpcTransport::new(options.clone()).unwrap();
        let rig = Self {
            calls: incoming,
            line: Arc::new(line),
            options,
            _server: server,
        };
        (rig, transport)
    }

    async fn enrolment(
        &mut self,
        answer: Result<RegisterAgentResponse, String>,
    ) -> RegisterAgentRequest {
        let Call::Enrolment(request, reply) = self.next().await else {
            panic!("an enrolment was expected");
        };
        let answer = answer
            .map(|response| Response::new(response.encode_to_vec().into()))
            .map_err(Status::permission_denied);
        reply.send(answer).ok();
        RegisterAgentRequest::decode(request).unwrap()
    }

    async fn session(&mut self, credentials: &Credentials) -> GrpcPeer {
        let Call::Session(metadata, incoming, reply) = self.next().await else {
            panic!("a session was expected");
        };
        let headers = verify(&metadata, "/nxmesh.agent.AgentService/Stream", b"");
        assert_eq!(headers.agent_id, credentials.agent_id);
        let own = Uuid::new_v4().into_bytes();
        let nonce = Bytes::from([&own[..], headers.nonce.as_bytes()].concat());
        let (outgoing, frames) = mpsc::channel(4);
        let frames: Frames = Box::pin(ReceiverStream::new(frames));
        let mut response = Response::new(frames);
        let encoded = BASE64.encode(own).parse().unwrap();
        response.metadata_mut().insert(SESSION_NONCE, encoded);
        reply.send(Ok(response)).ok();
        let key = &credentials.session_key;
        GrpcPeer {
            sealer: Sealer::new(key.clone(), nonce.clone(), Direction::ToAgent),
            opener: Opener::new(key.clone(), nonce, Direction::ToMaster),
            outgoing,
            incoming,
            line: Arc::clone(&self.line),
        }
    }

    async fn refused_session(&mut self, reason: &str) {
        let Call::Session(_, _, reply) = self.next().await else {
            panic!("a session was expected");
        };
        reply.send(Err(Status::unauthenticated(reason))).ok();
    }

    async fn bundle(&mut self, content: Bytes) -> Bytes {
        self.part_of_bundle(&content, usize::MAX >> 1).await.digest
    }

    async fn report(&mut self, answer: Result<(), String>) -> Report {
        let Call::Report(path, metadata, body, reply) = self.next().await else {
            panic!("a report was expected");
        };
        verify(&metadata, path, &body);
        let answer = answer
            .map(|()| Response::new(Ack::default().encode_to_vec().into()))
            .map_err(Status::permission_denied);
        reply.send(answer).ok();
        match path {
            HEALTH => Report::Health(HealthReport::decode(body).unwrap().into()),
            _ => Report::Metrics(MetricsBatch::decode(body).unwrap()),
        }
    }
}

struct GrpcPeer {
    sealer: Sealer,
    opener: Opener,
    outgoing: mpsc::Sender<Result<Bytes, Status>>,
    incoming: Streaming<Bytes>,
    line: Arc<Line>,
}

#[async_trait]
impl Peer for GrpcPeer {
    fn seal(&mut self, mut message: MasterMessage) -> Bytes {
        message.sequence = self.sealer.next_sequence();
        message.seal = Bytes::new();
        self.sealer.seal(&message)
    }

    async fn send_frame(&mut self, frame: Bytes) {
        self.outgoing.send(Ok(frame)).await.ok();
    }

    async fn receive(&mut self) -> Option<AgentMessage> {
        let frame = self.incoming.message().await.ok().flatten()?;
        Some(self.opener.open(&frame).expect("a genuine frame"))
    }

    async fn close(self) {}

    async fn vanish(self) {
        self.line.cut();
    }
}

#[tokio::test]
async fn a_bundle_goes_on_where_a_call_broke() {
    let (mut rig, transport) = GrpcRig::start().await;
    let content: Bytes = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
    let digest = Bytes::copy_from_slice(Digest::of(&content).as_bytes());
    let credentials = credentials();
    let fetch = transport.fetch_bundle(&credentials, digest, content.len() as u64);
    let master = async {
        let mut offsets = Vec::new();
        for limit in [70_000, 1, usize::MAX >> 1] {
            offsets.push(rig.part_of_bundle(&content, limit).await.offset);
        }
        offsets
    };
    let both = futures_util::future::join(fetch, master);
    let (fetched, offsets) = patiently("fetching", both).await;
    assert!(fetched.unwrap() == content);
    assert_eq!(offsets, [0, 70_000, 70_001]);
}

#[tokio::test]
async fn a_bundle_that_is_not_what_was_offered_is_refused() {
    let (mut rig, transport) = GrpcRig::start().await;
    let credentials = credentials();
    let real = Bytes::from_static(b"what was offered");
    let digest = Bytes::copy_from_slice(Digest::of(&real).as_bytes());
    for sent in [
        &b"what was_offered"[..],
        b"what was offered and more",
        b"what was",
    ] {
        let fetch = transport.fetch_bundle(&credentials, digest.clone(), real.len() as u64);
        let both = futures_util::future::join(fetch, rig.bundle(Bytes::from_static(sent)));
        let (fetched, _) = patiently("fetching", both).await;
        assert!(
            matches!(fetched, Err(TransportError::NotGenuine { .. })),
            "{fetched:?}"
        );
    }
    let fetched = transport.fetch_bundle(&credentials, digest, u64::MAX).await;
    assert!(
        matches!(fetched, Err(TransportError::Refused { .. })),
        "{fetched:?}"
    );
}

#[tokio::test]
async fn a_master_of_another_authority_is_not_talked_to() {
    let (rig, _) = GrpcRig::start().await;
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let transport = GrpcTransport::new(MasterOptions {
        trust: Trust::new(&stranger.cert.pem()).unwrap(),
        ..rig.options.clone()
    })
    .unwrap();
    let error = patiently(
        "enrolling",
        transport.enrol(RegisterAgentRequest::default()),
    )
    .await
    .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        matches!(error, TransportError::Unreachable { .. }),
        "{error}"
    );
    assert!(cause.contains("certificate"), "{cause}");
}

#[tokio::test]
async fn a_silent_line_ends_the_session() {
    let (mut rig, _) = GrpcRig::start().await;
    let transport = GrpcTransport::new(MasterOptions {
        keepalive: Keepalive {
            interval: Duration::from_millis(100),
            timeout: Duration::from_millis(200),
        },
        ..rig.options.clone()
    })
    .unwrap();
    let credentials = credentials();
    let both =
        futures_util::future::join(transport.connect(&credentials), rig.session(&credentials));
    let (session, _peer) = patiently("opening", both).await;
    let mut session = session.unwrap();
    rig.line.freeze();
    let end = patiently("noticing", session.receiver.receive()).await;
    assert!(
        matches!(end, Err(TransportError::Unreachable { .. })),
        "{end:?}"
    );
}

/// Whatever this machine's clock says: the second call is dated by the master's.
#[tokio::test]
async fn a_clock_that_is_a_day_off_is_corrected() {
    const DAY: u64 = 24 * 3600 * 1000;
    const MASTERS: u64 = 1_767_225_600_000;
    for own in [MASTERS - DAY, MASTERS + DAY] {
        let (mut rig, _) = GrpcRig::start().await;
        let options = MasterOptions {
            clock: Arc::new(nxmesh_core::memory::ManualClock::at_unix_millis(own)),
            ..rig.options.clone()
        };
        let transport = GrpcTransport::new(options).unwrap();
        let content = Bytes::from_static(b"bundle");
        let digest = Bytes::copy_from_slice(Digest::of(&content).as_bytes());
        let serving = async {
            let Call::Bundle(metadata, _, reply) = rig.next().await else {
                panic!("a fetch was expected");
            };
            let stamp = dated(&metadata);
            assert_eq!(stamp, own);
            let mut refusal = Status::unauthenticated("five minutes off");
            refusal.metadata_mut().insert(MASTER_TIME, MASTERS.into());
            reply.send(Err(refusal)).ok();
            let Call::Bundle(metadata, _, reply) = rig.next().await else {
                panic!("a fetch was expected");
            };
            let stamp = dated(&metadata);
            assert_eq!(stamp, MASTERS);
            let chunk = BundleChunk {
                offset: 0,
                data: content.clone(),
            };
            let frames: Frames = Box::pin(tokio_stream::iter([Ok(chunk.encode_to_vec().into())]));
            reply.send(Ok(Response::new(frames))).ok();
        };
        let credentials = credentials();
        let fetching = transport.fetch_bundle(&credentials, digest, content.len() as u64);
        let (fetched, ()) = tokio::join!(fetching, serving);
        assert_eq!(fetched.unwrap(), content);
    }
}

/// The timestamp of a call.
fn dated(metadata: &MetadataMap) -> u64 {
    let header = |name| metadata.get(name).and_then(|value| value.to_str().ok());
    SignedHeaders::read(header).expect("signed").timestamp
}

//! The transport against a real HTTP/1.1 server behind real TLS.

use std::{convert::Infallible, sync::Arc};

use base64::Engine as _;
use futures_util::{SinkExt as _, StreamExt as _, future::join};
use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
    upgrade::{OnUpgrade, Upgraded},
};
use nxmesh_core::{
    digest::Digest,
    memory::{ManualClock, Report},
    seal::{
        request::{MASTER_TIME, SESSION_NONCE},
        stream::{Direction, MAX_FRAME_BYTES, Opener, Sealer},
    },
    testkit::{
        patience::patiently,
        transport::{Peer, Rig, credentials},
    },
    wire::{Ack, AgentMessage, FetchBundleRequest, MasterMessage},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::{
    Message, handshake::server::create_response, protocol::CloseFrame,
};
use tonic::Code;

use super::*;
use crate::transport::{Keepalive, Trust, line::Line, sealed::BASE64};

nxmesh_core::transport_conformance!(WebSocketRig);

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A request that waits for what the test answers.
struct Call {
    head: http::request::Parts,
    body: Bytes,
    upgrade: OnUpgrade,
    reply: oneshot::Sender<Response<Body>>,
}

fn body(content: impl Into<Bytes>) -> Body {
    Full::new(content.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn refusal(code: Code, words: &str) -> Response<Body> {
    Response::builder()
        .status(403)
        .header(paths::STATUS, i32::from(code))
        .body(body(words.to_owned()))
        .unwrap()
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, calls: mpsc::UnboundedSender<Call>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, calls) = (acceptor.clone(), calls.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |mut request: Request<Incoming>| {
                let calls = calls.clone();
                async move {
                    let upgrade = hyper::upgrade::on(&mut request);
                    let (head, body) = request.into_parts();
                    let (reply, replied) = oneshot::channel();
                    let call = Call {
                        head,
                        body: body.collect().await.unwrap().to_bytes(),
                        upgrade,
                        reply,
                    };
                    calls.send(call).ok();
                    Ok::<_, Infallible>(replied.await.expect("the test answers"))
                }
            });
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await
                .ok();
        });
    }
}

struct WebSocketRig {
    calls: mpsc::UnboundedReceiver<Call>,
    line: Arc<Line>,
    options: MasterOptions,
    _server: JoinSet<()>,
}

impl WebSocketRig {
    async fn next(&mut self, method: &str, path: &str) -> Call {
        let call = self.calls.recv().await.expect("the server runs");
        assert_eq!(
            (call.head.method.as_str(), call.head.uri.path()),
            (method, path)
        );
        call
    }

    /// Answers the next fetch with `content` from where it is asked, but at
    /// most `limit` bytes before the connection breaks.
    async fn part_of_bundle(&mut self, content: &Bytes, limit: usize) -> FetchBundleRequest {
        let call = self.next("POST", paths::BUNDLE).await;
        verify(&call.head.headers, paths::BUNDLE, &call.body);
        let request = FetchBundleRequest::decode(call.body).unwrap();
        let from = usize::try_from(request.offset).unwrap();
        let until = content.len().min(from + limit);
        let mut frames = vec![Ok(Frame::data(content.slice(from..until)))];
        let broken = until < content.len();
        if broken {
            frames.push(Err(std::io::Error::other("broken")));
        }
        // What was given is written while nothing more is there.
        let frames = tokio_stream::iter(frames).then(async |frame| {
            if frame.is_err() {
                tokio::task::yield_now().await;
            }
            frame
        });
        let body = StreamBody::new(frames).boxed_unsync();
        call.reply.send(Response::new(body)).ok();
        request
    }
}

fn verify(headers: &HeaderMap, method: &str, body: &[u8]) -> SignedHeaders {
    let signed =
        SignedHeaders::read(|name| headers.get(name).and_then(|value| value.to_str().ok()))
            .expect("signed");
    signed
        .verify(&credentials().session_key, method, body)
        .expect("signed rightly");
    signed
}

#[async_trait]
impl Rig for WebSocketRig {
    type Subject = WebSocketTransport;
    type Peer = WebSocketPeer;

    async fn start() -> (Self, WebSocketTransport) {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![issued.cert.der().clone()],
                rustls_pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der())
                    .unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (line, port) = Line::lay(listener.local_addr().unwrap()).await;
        let (calls, incoming) = mpsc::unbounded_channel();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), calls));
        let url = format!("wss://localhost:{port}").parse().unwrap();
        let options = MasterOptions::new(url, Trust::new(&issued.cert.pem()).unwrap());
        let transport = WebSocketTransport::new(options.clone());
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
        let call = self.next("POST", paths::REGISTER).await;
        let answer = match answer {
            Ok(response) => Response::new(body(response.encode_to_vec())),
            Err(reason) => refusal(Code::PermissionDenied, &reason),
        };
        call.reply.send(answer).ok();
        RegisterAgentRequest::decode(call.body).unwrap()
    }

    async fn session(&mut self, credentials: &Credentials) -> WebSocketPeer {
        let call = self.next("GET", paths::STREAM).await;
        let headers = verify(&call.head.headers, paths::STREAM, b"");
        assert_eq!(headers.agent_id, credentials.agent_id);
        let own = [3; 16];
        let nonce = Bytes::from([&own[..], headers.nonce.as_bytes()].concat());
        let mut answer = create_response(&Request::from_parts(call.head, ())).unwrap();
        let encoded = BASE64.encode(own).parse().unwrap();
        answer.headers_mut().insert(SESSION_NONCE, encoded);
        call.reply.send(answer.map(|()| body(""))).ok();
        let upgraded = TokioIo::new(call.upgrade.await.unwrap());
        let config = Some(carry::config());
        let key = &credentials.session_key;
        WebSocketPeer {
            sealer: Sealer::new(key.clone(), nonce.clone(), Direction::ToAgent),
            opener: Opener::new(key.clone(), nonce, Direction::ToMaster),
            socket: WebSocketStream::from_raw_socket(upgraded, Role::Server, config).await,
            line: Arc::clone(&self.line),
        }
    }

    async fn refused_session(&mut self, reason: &str) {
        let call = self.next("GET", paths::STREAM).await;
        call.reply.send(refusal(Code::Unauthenticated, reason)).ok();
    }

    async fn bundle(&mut self, content: Bytes) -> Bytes {
        self.part_of_bundle(&content, usize::MAX >> 1).await.digest
    }

    async fn report(&mut self, answer: Result<(), String>) -> Report {
        let call = self.calls.recv().await.expect("the server runs");
        assert_eq!(call.head.method, "POST");
        let path = call.head.uri.path().to_owned();
        verify(&call.head.headers, &path, &call.body);
        let answer = match answer {
            Ok(()) => Response::new(body(Ack::default().encode_to_vec())),
            Err(reason) => refusal(Code::PermissionDenied, &reason),
        };
        call.reply.send(answer).ok();
        match &*path {
            paths::HEALTH => Report::Health(HealthReport::decode(call.body).unwrap().into()),
            paths::METRICS => Report::Metrics(MetricsBatch::decode(call.body).unwrap()),
            other => panic!("{other}"),
        }
    }
}

struct WebSocketPeer {
    sealer: Sealer,
    opener: Opener,
    socket: WebSocketStream<TokioIo<Upgraded>>,
    line: Arc<Line>,
}

impl WebSocketPeer {
    async fn close_with(&mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        self.socket.close(Some(frame)).await.ok();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

#[async_trait]
impl Peer for WebSocketPeer {
    fn seal(&mut self, mut message: MasterMessage) -> Bytes {
        message.sequence = self.sealer.next_sequence();
        message.seal = Bytes::new();
        self.sealer.seal(&message)
    }

    async fn send_frame(&mut self, frame: Bytes) {
        self.socket.send(Message::Binary(frame)).await.ok();
    }

    async fn receive(&mut self) -> Option<AgentMessage> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Binary(frame) => {
                    return Some(self.opener.open(&frame).expect("a genuine frame"));
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn close(mut self) {
        self.close_with(1000).await;
    }

    async fn vanish(self) {
        self.line.cut();
    }
}

async fn open(rig: &mut WebSocketRig, transport: &WebSocketTransport) -> (Session, WebSocketPeer) {
    let credentials = credentials();
    let both = join(transport.connect(&credentials), rig.session(&credentials));
    let (session, peer) = patiently("opening", both).await;
    (session.unwrap(), peer)
}

#[tokio::test]
async fn a_bundle_goes_on_where_a_call_broke() {
    let (mut rig, transport) = WebSocketRig::start().await;
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
    let (fetched, offsets) = patiently("fetching", join(fetch, master)).await;
    assert!(fetched.unwrap() == content);
    assert_eq!(offsets[0], 0);
    assert!((1..=70_000).contains(&offsets[1]), "{offsets:?}");
    assert!(offsets[2] >= offsets[1], "{offsets:?}");
}

#[tokio::test]
async fn a_silent_line_ends_the_session() {
    let (mut rig, _) = WebSocketRig::start().await;
    let transport = WebSocketTransport::new(MasterOptions {
        keepalive: Keepalive {
            interval: Duration::from_millis(100),
            timeout: Duration::from_millis(200),
        },
        ..rig.options.clone()
    });
    let (mut session, mut peer) = open(&mut rig, &transport).await;
    // As long as the peer answers pings, silence is no end.
    let answering = async { while let Some(Ok(_)) = peer.socket.next().await {} };
    let quiet = tokio::time::timeout(Duration::from_secs(1), async {
        tokio::select! {
            end = session.receiver.receive() => panic!("ended: {end:?}"),
            () = answering => panic!("the agent went"),
        }
    });
    quiet.await.unwrap_err();
    rig.line.freeze();
    let end = patiently("noticing", session.receiver.receive()).await;
    assert!(
        matches!(end, Err(TransportError::Unreachable { .. })),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_reason_to_close_is_told_in_full() {
    for (code, refused) in [(Code::PermissionDenied, true), (Code::Unavailable, false)] {
        let (mut rig, transport) = WebSocketRig::start().await;
        let (mut session, mut peer) = open(&mut rig, &transport).await;
        let words = "a reason longer than a close frame has room for, ".repeat(10);
        peer.socket
            .send(Message::text(words.clone()))
            .await
            .unwrap();
        let code = paths::CLOSE_CODES + u16::try_from(i32::from(code)).unwrap();
        let both = join(session.receiver.receive(), peer.close_with(code));
        let (end, ()) = patiently("closing", both).await;
        match end {
            Err(TransportError::Refused { reason }) if refused => assert_eq!(reason, words),
            Err(TransportError::Unreachable { source, .. }) if !refused => {
                assert_eq!(source.to_string(), words);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_frame_that_is_too_long_ends_the_session() {
    let (mut rig, transport) = WebSocketRig::start().await;
    let (mut session, mut peer) = open(&mut rig, &transport).await;
    let frame = Bytes::from(vec![0; MAX_FRAME_BYTES + 1]);
    let both = join(session.receiver.receive(), peer.send_frame(frame));
    let (end, ()) = patiently("sending", both).await;
    assert!(
        matches!(end, Err(TransportError::Unreachable { .. })),
        "{end:?}"
    );
}

/// A block page says nothing of what the master thinks.
#[tokio::test]
async fn an_answer_of_something_on_the_way_is_no_refusal() {
    let (mut rig, transport) = WebSocketRig::start().await;
    let credentials = credentials();
    let blocked = || {
        Response::builder()
            .status(403)
            .body(body("<html>"))
            .unwrap()
    };
    let page = async {
        for path in [paths::STREAM, paths::REGISTER] {
            let method = if path == paths::STREAM { "GET" } else { "POST" };
            rig.next(method, path).await.reply.send(blocked()).ok();
        }
    };
    let attempts = async {
        let session = transport.connect(&credentials).await.map(drop);
        let request = RegisterAgentRequest::default();
        [session, transport.enrol(request).await.map(drop)]
    };
    let (outcomes, ()) = patiently("two answers", join(attempts, page)).await;
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        let cause = std::error::Error::source(&error)
            .expect("a cause")
            .to_string();
        assert!(cause.contains("403"), "{cause}");
    }
}

/// Whatever this machine's clock says: the second call is dated by the master's,
/// and so are those after it.
#[tokio::test]
async fn a_clock_that_is_a_day_off_is_corrected() {
    const DAY: u64 = 24 * 3600 * 1000;
    const MASTERS: u64 = 1_767_225_600_000;
    for own in [MASTERS - DAY, MASTERS + DAY] {
        for path in [paths::BUNDLE, paths::HEALTH, paths::METRICS] {
            let (mut rig, _) = WebSocketRig::start().await;
            let transport = WebSocketTransport::new(MasterOptions {
                clock: Arc::new(ManualClock::at_unix_millis(own)),
                ..rig.options.clone()
            });
            let content = Bytes::from_static(b"bundle");
            let credentials = credentials();
            let calling = async {
                for _ in 0..2 {
                    match path {
                        paths::BUNDLE => {
                            let digest = Bytes::copy_from_slice(Digest::of(&content).as_bytes());
                            let size = content.len() as u64;
                            transport
                                .fetch_bundle(&credentials, digest, size)
                                .await
                                .map(drop)
                        }
                        paths::HEALTH => {
                            let report = HealthReport::default();
                            transport.report_health(&credentials, report).await
                        }
                        _ => {
                            let batch = MetricsBatch::default();
                            transport.report_metrics(&credentials, batch).await
                        }
                    }?;
                }
                Ok::<(), TransportError>(())
            };
            let serving = async {
                for dated in [own, MASTERS, MASTERS] {
                    let call = rig.next("POST", path).await;
                    let signed = verify(&call.head.headers, path, &call.body);
                    assert_eq!(signed.timestamp, dated, "{path}");
                    let answer = match (dated == own, path) {
                        (true, _) => {
                            let mut refused = refusal(Code::Unauthenticated, "five minutes off");
                            refused.headers_mut().insert(MASTER_TIME, MASTERS.into());
                            refused
                        }
                        (false, paths::BUNDLE) => Response::new(body(content.clone())),
                        (false, _) => Response::new(body(Ack::default().encode_to_vec())),
                    };
                    call.reply.send(answer).ok();
                }
            };
            let (called, ()) = patiently("calling", join(calling, serving)).await;
            called.unwrap();
        }
    }
}

/// Only once: a master that finds every date wrong is not asked for ever, and what
/// something on the way says of the time is not heard.
#[tokio::test]
async fn a_clock_is_corrected_once_in_a_call() {
    const NOW: u64 = 1_767_225_600_000;
    let (mut rig, _) = WebSocketRig::start().await;
    let transport = WebSocketTransport::new(MasterOptions {
        clock: Arc::new(ManualClock::at_unix_millis(NOW)),
        ..rig.options.clone()
    });
    let credentials = credentials();
    let told = |mut answer: Response<Body>, time: u64| {
        answer.headers_mut().insert(MASTER_TIME, time.into());
        answer
    };
    let serving = async {
        for time in [NOW / 2, NOW / 3] {
            let call = rig.next("POST", paths::HEALTH).await;
            let refused = refusal(Code::Unauthenticated, "five minutes off");
            call.reply.send(told(refused, time)).ok();
        }
        let call = rig.next("POST", paths::HEALTH).await;
        let blocked = Response::builder().status(403).body(body("<html>"));
        call.reply.send(told(blocked.unwrap(), NOW)).ok();
    };
    let calling = async {
        for _ in 0..2 {
            let report = HealthReport::default();
            let told = transport.report_health(&credentials, report).await;
            told.expect_err("it is not taken");
        }
    };
    patiently("calling", join(calling, serving)).await;
}

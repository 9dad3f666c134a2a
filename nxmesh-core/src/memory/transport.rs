//! Agents and a master in one process, without a network.
//!
//! Frames are sealed as on the wire, so what the contract says of forged and
//! replayed messages holds here too.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_util::{SinkExt as _, StreamExt as _};

use crate::{
    contract::transport::{
        Credentials, Session, SessionReceiver, SessionSender, Transport, TransportError,
    },
    seal::stream::{Direction, Opener, SealError, Sealer},
    wire::{
        AgentMessage, HealthReport, MasterMessage, MetricsBatch, RegisterAgentRequest,
        RegisterAgentResponse,
    },
};

/// How many calls wait for the master, and how many frames for a peer.
const WAITING: usize = 64;

/// A pair of connected halves: the one agents use, and the master's.
///
/// ```
/// use nxmesh_core::{contract::transport::Transport, memory::{Incoming, memory_transport}};
/// use nxmesh_core::wire::{RegisterAgentRequest, RegisterAgentResponse};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (transport, mut master) = memory_transport();
/// let agent = tokio::spawn(async move {
///     transport.enrol(RegisterAgentRequest::default()).await
/// });
/// if let Some(Incoming::Enrolment(enrolment)) = master.accept().await {
///     enrolment.accept(RegisterAgentResponse { workspace: "default".into(), ..Default::default() });
/// }
/// assert_eq!(agent.await.unwrap().unwrap().workspace, "default");
/// # }
/// ```
#[must_use]
pub fn memory_transport() -> (MemoryTransport, MemoryMaster) {
    let (calls, incoming) = mpsc::channel(WAITING);
    let transport = MemoryTransport {
        calls,
        sessions: Arc::default(),
    };
    (transport, MemoryMaster { incoming })
}

/// The agents' half. Clones reach the same master.
#[derive(Debug, Clone)]
pub struct MemoryTransport {
    calls: mpsc::Sender<Incoming>,
    /// How many sessions were opened; makes their nonces.
    sessions: Arc<AtomicU64>,
}

/// The master's half.
#[derive(Debug)]
pub struct MemoryMaster {
    incoming: mpsc::Receiver<Incoming>,
}

impl MemoryMaster {
    /// The next call of an agent; `None` once every agent's half is dropped.
    pub async fn accept(&mut self) -> Option<Incoming> {
        self.incoming.next().await
    }
}

/// A call that waits for its answer. Dropped without one, the agent finds the
/// master unreachable.
#[derive(Debug)]
pub enum Incoming {
    /// An agent asks for an identity.
    Enrolment(Enrolment),
    /// An agent opens a session.
    Session(Opening),
    /// An agent fetches the content of an offer.
    Bundle(BundleRequest),
    /// An agent tells how it is, without a session.
    Report(Reported),
}

type Answer<T> = oneshot::Sender<Result<T, TransportError>>;

/// The caller may be gone, which is no concern of who answers.
fn answer<T>(to: Answer<T>, result: Result<T, TransportError>) {
    drop(to.send(result));
}

fn refused<T>(reason: &str) -> Result<T, TransportError> {
    Err(TransportError::Refused {
        reason: reason.to_owned(),
    })
}

/// An agent asks for an identity.
#[derive(Debug)]
pub struct Enrolment {
    /// What it says of itself.
    pub request: RegisterAgentRequest,
    answer: Answer<RegisterAgentResponse>,
}

impl Enrolment {
    /// Admits the agent.
    pub fn accept(self, response: RegisterAgentResponse) {
        answer(self.answer, Ok(response));
    }

    /// Turns the agent away.
    pub fn refuse(self, reason: &str) {
        answer(self.answer, refused(reason));
    }
}

/// An agent opens a session.
#[derive(Debug)]
pub struct Opening {
    /// Who it is.
    pub credentials: Credentials,
    nonce: Bytes,
    answer: Answer<Session>,
}

impl Opening {
    /// Opens the session with the key the agent came with.
    #[must_use]
    pub fn accept(self) -> MasterSession {
        let Credentials {
            agent_id,
            session_key: key,
            ..
        } = self.credentials;
        let (to_master, from_agent) = mpsc::channel(WAITING);
        let (to_agent, from_master) = mpsc::channel(WAITING);
        let line = Arc::new(Line::default());
        let session = Session {
            sender: Box::new(AgentSender {
                agent_id: agent_id.to_string(),
                sealer: Sealer::new(key.clone(), self.nonce.clone(), Direction::ToMaster),
                sequence: 0,
                frames: to_master,
                line: Arc::clone(&line),
            }),
            receiver: Box::new(AgentReceiver {
                opener: Opener::new(key.clone(), self.nonce.clone(), Direction::ToAgent),
                frames: from_master,
                line: Arc::clone(&line),
            }),
        };
        answer(self.answer, Ok(session));
        MasterSession {
            sealer: Sealer::new(key.clone(), self.nonce.clone(), Direction::ToAgent),
            opener: Opener::new(key, self.nonce, Direction::ToMaster),
            sequence: 0,
            to_agent,
            from_agent,
            line,
        }
    }

    /// Turns the agent away.
    pub fn refuse(self, reason: &str) {
        answer(self.answer, refused(reason));
    }
}

/// An agent fetches the content of an offer.
#[derive(Debug)]
pub struct BundleRequest {
    /// Who asks.
    pub credentials: Credentials,
    /// What for.
    pub digest: Bytes,
    /// How long it is said to be.
    pub size_bytes: u64,
    answer: Answer<Bytes>,
}

impl BundleRequest {
    /// Hands the content over.
    pub fn answer(self, content: Bytes) {
        answer(self.answer, Ok(content));
    }

    /// Turns the agent away.
    pub fn refuse(self, reason: &str) {
        answer(self.answer, refused(reason));
    }
}

/// What is told in a call of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// How the agent is.
    Health(Box<HealthReport>),
    /// What it counts.
    Metrics(MetricsBatch),
}

/// An agent tells how it is, without a session.
#[derive(Debug)]
pub struct Reported {
    /// Who tells.
    pub credentials: Credentials,
    /// What.
    pub report: Report,
    answer: Answer<()>,
}

impl Reported {
    /// Takes the report in.
    pub fn accept(self) {
        answer(self.answer, Ok(()));
    }

    /// Turns the agent away.
    pub fn refuse(self, reason: &str) {
        answer(self.answer, refused(reason));
    }
}

/// The state both halves of a session see.
#[derive(Debug, Default)]
struct Line {
    /// Ended without a goodbye.
    cut: AtomicBool,
}

impl Line {
    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }
}

/// The master's end of a session. Dropping it closes the session in order.
#[derive(Debug)]
pub struct MasterSession {
    sealer: Sealer,
    opener: Opener,
    sequence: u64,
    to_agent: mpsc::Sender<Bytes>,
    from_agent: mpsc::Receiver<Bytes>,
    line: Arc<Line>,
}

impl MasterSession {
    /// Sends one message; waits while the agent is slow. Fills in `sequence`.
    ///
    /// # Errors
    ///
    /// [`TransportError::Closed`] when the agent is gone.
    pub async fn send(&mut self, message: MasterMessage) -> Result<(), TransportError> {
        let frame = self.seal(message);
        self.send_frame(frame).await
    }

    /// Seals the next message without sending it.
    #[must_use]
    pub fn seal(&mut self, mut message: MasterMessage) -> Bytes {
        self.sequence += 1;
        message.sequence = self.sequence;
        message.seal = Bytes::new();
        self.sealer.seal(&message)
    }

    /// Sends bytes as they are, as someone between the two could.
    ///
    /// # Errors
    ///
    /// [`TransportError::Closed`] when the agent is gone.
    pub async fn send_frame(&mut self, frame: Bytes) -> Result<(), TransportError> {
        self.to_agent
            .send(frame)
            .await
            .map_err(|_| TransportError::Closed)
    }

    /// The next message of the agent; `None` when it closed the session.
    ///
    /// # Errors
    ///
    /// [`SealError`] for a frame the agent did not seal.
    pub async fn receive(&mut self) -> Result<Option<AgentMessage>, SealError> {
        match self.from_agent.next().await {
            Some(frame) => self.opener.open(&frame).map(Some),
            None => Ok(None),
        }
    }

    /// Ends the session without a goodbye, as a lost connection does.
    pub fn abort(self) {
        self.line.cut();
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn backend(&self) -> &'static str {
        "memory"
    }

    async fn enrol(
        &self,
        request: RegisterAgentRequest,
    ) -> Result<RegisterAgentResponse, TransportError> {
        self.call(|answer| Incoming::Enrolment(Enrolment { request, answer }))
            .await
    }

    async fn connect(&self, credentials: &Credentials) -> Result<Session, TransportError> {
        let number = self.sessions.fetch_add(1, Ordering::SeqCst);
        let opening = |answer| {
            Incoming::Session(Opening {
                credentials: credentials.clone(),
                nonce: Bytes::copy_from_slice(&number.to_be_bytes()),
                answer,
            })
        };
        self.call(opening).await
    }

    async fn fetch_bundle(
        &self,
        credentials: &Credentials,
        digest: Bytes,
        size_bytes: u64,
    ) -> Result<Bytes, TransportError> {
        let request = |answer| {
            Incoming::Bundle(BundleRequest {
                credentials: credentials.clone(),
                digest,
                size_bytes,
                answer,
            })
        };
        self.call(request).await
    }

    async fn report_health(
        &self,
        credentials: &Credentials,
        report: HealthReport,
    ) -> Result<(), TransportError> {
        self.report(credentials, Report::Health(report.into()))
            .await
    }

    async fn report_metrics(
        &self,
        credentials: &Credentials,
        batch: MetricsBatch,
    ) -> Result<(), TransportError> {
        self.report(credentials, Report::Metrics(batch)).await
    }
}

impl MemoryTransport {
    async fn report(
        &self,
        credentials: &Credentials,
        report: Report,
    ) -> Result<(), TransportError> {
        let reported = |answer| {
            Incoming::Report(Reported {
                credentials: credentials.clone(),
                report,
                answer,
            })
        };
        self.call(reported).await
    }

    async fn call<T>(
        &self,
        incoming: impl FnOnce(Answer<T>) -> Incoming,
    ) -> Result<T, TransportError> {
        let unreachable = |reason: &'static str| TransportError::Unreachable {
            url: "memory:".to_owned(),
            source: reason.into(),
        };
        let (answer, answered) = oneshot::channel();
        self.calls
            .clone()
            .send(incoming(answer))
            .await
            .map_err(|_| unreachable("there is no master"))?;
        answered
            .await
            .unwrap_or_else(|_| Err(unreachable("the master did not answer")))
    }
}

#[derive(Debug)]
struct AgentSender {
    agent_id: String,
    sealer: Sealer,
    sequence: u64,
    frames: mpsc::Sender<Bytes>,
    line: Arc<Line>,
}

#[async_trait]
impl SessionSender for AgentSender {
    async fn send(&mut self, mut message: AgentMessage) -> Result<(), TransportError> {
        if self.line.is_cut() {
            return Err(TransportError::Closed);
        }
        self.sequence += 1;
        message.agent_id.clone_from(&self.agent_id);
        message.sequence = self.sequence;
        message.seal = Bytes::new();
        let frame = self.sealer.seal(&message);
        self.frames
            .send(frame)
            .await
            .map_err(|_| TransportError::Closed)
    }
}

#[derive(Debug)]
struct AgentReceiver {
    opener: Opener,
    frames: mpsc::Receiver<Bytes>,
    line: Arc<Line>,
}

#[async_trait]
impl SessionReceiver for AgentReceiver {
    async fn receive(&mut self) -> Result<Option<MasterMessage>, TransportError> {
        match self.frames.next().await {
            None if self.line.is_cut() => Err(TransportError::Closed),
            None => Ok(None),
            Some(_) if self.line.is_cut() => Err(TransportError::Closed),
            Some(frame) => self.opener.open(&frame).map(Some).map_err(|error| {
                self.line.cut();
                self.frames.close();
                TransportError::NotGenuine {
                    reason: error.to_string(),
                }
            }),
        }
    }
}

//! The conformance suite of [`Transport`].

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join;

use super::{patience::patiently, sample};
use crate::{
    contract::transport::{Credentials, Session, Transport, TransportError},
    memory::Report,
    model::AgentMetrics,
    seal::SessionKey,
    wire::{
        AgentMessage, ConfigUpdate, HealthReport, LogBatch, LogLine, MasterMessage, MetricsBatch,
        RegisterAgentRequest, RegisterAgentResponse, agent_message, master_message,
    },
};

/// A master that does what it is told, and a transport that reaches it.
#[async_trait]
pub trait Rig: Sized + Send + Sync {
    /// The transport under test.
    type Subject: Transport;
    /// The master's end of a session.
    type Peer: Peer;

    /// Starts the master and makes a transport that reaches it.
    async fn start() -> (Self, Self::Subject);

    /// Waits for the next enrolment, answers it (`Err`: refuses it for that
    /// reason) and returns what the agent asked.
    async fn enrolment(
        &mut self,
        answer: Result<RegisterAgentResponse, String>,
    ) -> RegisterAgentRequest;

    /// Waits for the next session of the agent with `credentials` and opens it.
    async fn session(&mut self, credentials: &Credentials) -> Self::Peer;

    /// Waits for the next session and refuses it for `reason`.
    async fn refused_session(&mut self, reason: &str);

    /// Waits for the next fetch, answers it with `content` and returns the
    /// digest that was asked for.
    async fn bundle(&mut self, content: Bytes) -> Bytes;

    /// Waits for the next report of the agent of [`credentials`], its signature
    /// checked, answers it (`Err`: refuses it for that reason) and returns it.
    async fn report(&mut self, answer: Result<(), String>) -> Report;
}

/// The master's end of a session.
#[async_trait]
pub trait Peer: Send {
    /// Seals the next message as a master does, without sending it.
    fn seal(&mut self, message: MasterMessage) -> Bytes;

    /// Sends a frame as it is; what happens to it is the agent's affair.
    async fn send_frame(&mut self, frame: Bytes);

    /// The next message of the agent, its seal checked; `None` when the agent
    /// closed the session or is gone.
    async fn receive(&mut self) -> Option<AgentMessage>;

    /// Closes the session in order.
    async fn close(self);

    /// Goes away without a goodbye, as a killed process or a lost network does.
    async fn vanish(self);
}

/// Emits one test per clause of the [`Transport`](crate::contract::transport::Transport)
/// contract for a [`Rig`](crate::testkit::transport::Rig).
#[macro_export]
macro_rules! transport_conformance {
    ($rig:ty) => {
        $crate::transport_conformance! { @each $rig:
            // 1
            an_enrolment_hands_over_the_identity,
            a_refused_enrolment_is_not_retried,
            a_refused_session_is_told,
            // 2
            messages_to_the_master_arrive_once_in_order,
            messages_to_the_agent_arrive_once_in_order,
            the_transport_says_who_speaks,
            a_large_message_arrives_whole,
            a_bundle_arrives_whole,
            // 3
            a_vanished_master_ends_the_session,
            a_goodbye_ends_the_session,
            // 4
            a_forged_message_is_not_received,
            a_replayed_message_is_not_received,
            reordered_messages_are_not_received,
            a_gap_is_noticed,
            a_frame_of_another_session_is_not_received,
            // 5
            dropping_the_session_closes_it_for_the_master,
            // 6
            reports_are_told_without_a_session,
            a_refused_report_is_not_retried,
        }
    };
    (@each $rig:ty: $($clause:ident,)+) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testkit::transport::$clause::<$rig>().await;
            }
        )+
    };
}

/// Who the agent of this suite is.
#[must_use]
pub fn credentials() -> Credentials {
    Credentials {
        agent_id: sample::agent_id(1),
        key_id: "key-1".to_owned(),
        session_key: SessionKey::new([7; 32]),
    }
}

async fn start<R: Rig>() -> (R, R::Subject) {
    patiently("starting a master", R::start()).await
}

async fn open<R: Rig>(rig: &mut R, subject: &R::Subject) -> (Session, R::Peer) {
    let credentials = credentials();
    let both = join(subject.connect(&credentials), rig.session(&credentials));
    let (session, peer) = patiently("opening a session", both).await;
    (session.expect("open a session"), peer)
}

fn to_agent(number: u64) -> MasterMessage {
    let update = ConfigUpdate {
        config_id: format!("update {number}"),
        version: number,
        ..ConfigUpdate::default()
    };
    MasterMessage {
        payload: Some(master_message::Payload::ConfigUpdate(update)),
        ..MasterMessage::default()
    }
}

fn to_master(text: String) -> AgentMessage {
    let lines = vec![LogLine { timestamp: 1, text }];
    AgentMessage {
        timestamp: 1_700_000_000_000,
        payload: Some(agent_message::Payload::Logs(LogBatch {
            lines,
            ..LogBatch::default()
        })),
        ..AgentMessage::default()
    }
}

async fn send<P: Peer>(peer: &mut P, number: u64) {
    let frame = peer.seal(to_agent(number));
    patiently("sending to the agent", peer.send_frame(frame)).await;
}

async fn receive(session: &mut Session) -> Result<Option<MasterMessage>, TransportError> {
    patiently("receiving from the master", session.receiver.receive()).await
}

async fn expect_update(session: &mut Session, number: u64) {
    let message = receive(session).await.expect("receive");
    let payload = message.expect("the session is open").payload;
    assert_eq!(payload, to_agent(number).payload);
}

/// Nothing is received and the session is over, by an error or, where `orderly`
/// is allowed, by `None`; it stays over.
async fn expect_the_end(session: &mut Session, orderly: bool) {
    match receive(session).await {
        Err(_) => {}
        Ok(None) if orderly => {}
        Ok(other) => panic!("the end of the session was expected, there is {other:?}"),
    }
    let again = receive(session).await;
    assert!(
        matches!(again, Err(_) | Ok(None)),
        "{again:?} after the end"
    );
}

async fn expect_text<P: Peer>(peer: &mut P, text: &str) -> AgentMessage {
    let message = patiently("receiving from the agent", peer.receive()).await;
    let message = message.expect("the session is open");
    assert_eq!(message.payload, to_master(text.to_owned()).payload);
    message
}

/// Clause 1, the good case: the whole answer arrives, secrets too.
pub async fn an_enrolment_hands_over_the_identity<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let request = RegisterAgentRequest {
        bootstrap_token: "nxm_boot_secret".to_owned(),
        install_id: "install-1".to_owned(),
        hostname: "web-1".to_owned(),
        labels: [("env".to_owned(), "prod".to_owned())].into(),
        agent_version: "0.1.0".to_owned(),
        nginx_version: "1.22.1".to_owned(),
        capabilities: vec!["bundle".to_owned()],
    };
    let response = RegisterAgentResponse {
        agent_id: sample::agent_id(1).to_string(),
        key_id: "key-1".to_owned(),
        session_key: Bytes::from_static(&[7; 32]),
        heartbeat_interval_seconds: 30,
        master_ca: sample::SHOP_CERTIFICATE.to_owned(),
        workspace: "default".to_owned(),
    };
    let both = join(
        subject.enrol(request.clone()),
        rig.enrolment(Ok(response.clone())),
    );
    let (answered, asked) = patiently("enrolling", both).await;
    assert_eq!(answered.expect("enrol"), response);
    assert_eq!(asked, request);
}

/// Clause 1: the caller is told at once; a second attempt would wait here for
/// an answer that never comes.
pub async fn a_refused_enrolment_is_not_retried<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let reason = "the token was used before".to_owned();
    let both = join(
        subject.enrol(RegisterAgentRequest::default()),
        rig.enrolment(Err(reason.clone())),
    );
    let (answered, _) = patiently("a refused enrolment", both).await;
    expect_refusal(answered, &reason);
}

fn expect_refusal<T: std::fmt::Debug>(answer: Result<T, TransportError>, reason: &str) {
    match answer {
        Err(TransportError::Refused { reason: told }) => {
            assert!(told.contains(reason), "{told:?} does not say {reason:?}");
        }
        other => panic!("a refusal was expected, there is {other:?}"),
    }
}

/// Clause 1, for sessions. A stream may be refused by its opening or by the
/// first thing received.
pub async fn a_refused_session_is_told<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let credentials = credentials();
    let reason = "the key is not known";
    let attempt = async {
        let mut session = subject.connect(&credentials).await?;
        session.receiver.receive().await
    };
    let both = join(attempt, rig.refused_session(reason));
    let (answered, ()) = patiently("a refused session", both).await;
    expect_refusal(answered, reason);
}

/// Clause 2, towards the master, more than any buffer holds.
pub async fn messages_to_the_master_arrive_once_in_order<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    let sending = async {
        for number in 0..2_000 {
            let message = to_master(format!("line {number}"));
            session.sender.send(message).await.expect("send");
        }
    };
    let receiving = async {
        for number in 0..2_000 {
            expect_text(&mut peer, &format!("line {number}")).await;
        }
    };
    patiently("two thousand messages", join(sending, receiving)).await;
}

/// Clause 2, towards the agent.
pub async fn messages_to_the_agent_arrive_once_in_order<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    let sending = async {
        for number in 0..2_000 {
            send(&mut peer, number).await;
        }
    };
    let receiving = async {
        for number in 0..2_000 {
            expect_update(&mut session, number).await;
        }
    };
    patiently("two thousand messages", join(sending, receiving)).await;
}

/// The transport fills in the agent's id and the sequence, whatever the caller says.
pub async fn the_transport_says_who_speaks<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    for sequence in 1..=3 {
        let message = AgentMessage {
            agent_id: "someone else".to_owned(),
            sequence: 99,
            seal: Bytes::from_static(b"not a seal"),
            ..to_master("hello".to_owned())
        };
        session.sender.send(message).await.expect("send");
        let arrived = expect_text(&mut peer, "hello").await;
        assert_eq!(arrived.agent_id, credentials().agent_id.as_str());
        assert_eq!(arrived.sequence, sequence);
        assert_eq!(arrived.timestamp, 1_700_000_000_000);
    }
}

/// Clause 2: 128 KiB in one message, both ways.
pub async fn a_large_message_arrives_whole<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    let text = "0123456789abcdef".repeat(8 << 10);
    let update = MasterMessage {
        payload: Some(master_message::Payload::ConfigUpdate(ConfigUpdate {
            config_id: text.clone(),
            ..ConfigUpdate::default()
        })),
        ..MasterMessage::default()
    };
    let frame = peer.seal(update.clone());
    let both = join(peer.send_frame(frame), receive(&mut session));
    let ((), arrived) = patiently("a large update", both).await;
    assert_eq!(
        arrived.expect("receive").expect("open").payload,
        update.payload
    );
    let message = to_master(text.clone());
    let both = join(session.sender.send(message), expect_text(&mut peer, &text));
    let (sent, _) = patiently("a large message", both).await;
    sent.expect("send");
}

/// Clause 2, for what is fetched beside the session: one byte, 32 KiB and about 1 MB.
pub async fn a_bundle_arrives_whole<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let credentials = credentials();
    for length in [1_000_003_usize, 1, 32 << 10] {
        let content: Bytes = (0..length).map(|index| (index % 251) as u8).collect();
        let digest = Bytes::copy_from_slice(crate::digest::Digest::of(&content).as_bytes());
        let fetch = subject.fetch_bundle(&credentials, digest.clone(), length as u64);
        let both = join(fetch, rig.bundle(content.clone()));
        let (fetched, asked) = patiently("fetching", both).await;
        assert_eq!(asked, digest);
        assert!(fetched.expect("fetch") == content, "{length} bytes differ");
    }
}

/// Clause 3: without a goodbye.
pub async fn a_vanished_master_ends_the_session<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    send(&mut peer, 1).await;
    expect_update(&mut session, 1).await;
    peer.vanish().await;
    expect_the_end(&mut session, true).await;
}

/// Clause 3: with a goodbye, after everything sent before it.
pub async fn a_goodbye_ends_the_session<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    for number in 0..3 {
        send(&mut peer, number).await;
    }
    peer.close().await;
    for number in 0..3 {
        expect_update(&mut session, number).await;
    }
    let end = receive(&mut session).await;
    assert!(matches!(end, Ok(None)), "{end:?}");
}

/// Clause 4: any bit of a frame.
pub async fn a_forged_message_is_not_received<R: Rig>() {
    for place in [0, 7, 20, usize::MAX] {
        let (mut rig, subject) = start::<R>().await;
        let (mut session, mut peer) = open(&mut rig, &subject).await;
        send(&mut peer, 1).await;
        let mut frame = peer.seal(to_agent(2)).to_vec();
        let place = place.min(frame.len() - 1);
        frame[place] ^= 1;
        disturb(&mut peer, [frame.into()]).await;
        expect_update(&mut session, 1).await;
        expect_the_end(&mut session, false).await;
    }
}

/// Clause 4: the same frame twice.
pub async fn a_replayed_message_is_not_received<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    let frame = peer.seal(to_agent(1));
    disturb(&mut peer, [frame.clone(), frame]).await;
    expect_update(&mut session, 1).await;
    expect_the_end(&mut session, false).await;
}

/// Clause 4: two frames changed places.
pub async fn reordered_messages_are_not_received<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    send(&mut peer, 1).await;
    let frames = [2, 3].map(|number| peer.seal(to_agent(number)));
    let [second, third] = frames;
    disturb(&mut peer, [third, second]).await;
    expect_update(&mut session, 1).await;
    expect_the_end(&mut session, false).await;
}

/// Clauses 2 and 4: a frame is missing.
pub async fn a_gap_is_noticed<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    send(&mut peer, 1).await;
    let frames = [2, 3].map(|number| peer.seal(to_agent(number)));
    let [_lost, third] = frames;
    disturb(&mut peer, [third]).await;
    expect_update(&mut session, 1).await;
    expect_the_end(&mut session, false).await;
}

/// Clause 4: a frame recorded in one session and played in another of the same agent.
pub async fn a_frame_of_another_session_is_not_received<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (_first, mut recorded) = open(&mut rig, &subject).await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    let frame = recorded.seal(to_agent(1));
    disturb(&mut peer, [frame]).await;
    expect_the_end(&mut session, false).await;
}

/// What the agent makes of the first bad frame may close the way for the rest.
async fn disturb<P: Peer>(peer: &mut P, frames: impl IntoIterator<Item = Bytes>) {
    for frame in frames {
        patiently("sending a frame", peer.send_frame(frame)).await;
    }
}

/// Clause 5: the master notices, after everything sent before.
pub async fn dropping_the_session_closes_it_for_the_master<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let (mut session, mut peer) = open(&mut rig, &subject).await;
    let hello = session.sender.send(to_master("hello".to_owned()));
    patiently("sending", hello).await.expect("send");
    expect_text(&mut peer, "hello").await;
    drop(session);
    let end = patiently("noticing the end", peer.receive()).await;
    assert_eq!(end, None);
}

fn health() -> HealthReport {
    HealthReport {
        nginx_running: true,
        nginx_workers: 3,
        running_digest: "ab".repeat(32),
        uptime_seconds: 77,
        ..HealthReport::default()
    }
}

fn metrics() -> MetricsBatch {
    let figures = AgentMetrics {
        requests: Some(1 << 40),
        workers: Some(3),
        ..AgentMetrics::default()
    };
    MetricsBatch::of(&figures, 1_700_000_000_000)
}

/// Clause 6: whole, in turn, and beside a session too.
pub async fn reports_are_told_without_a_session<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let credentials = credentials();
    for with_session in [false, true] {
        let _session = match with_session {
            true => Some(open(&mut rig, &subject).await),
            false => None,
        };
        let told = subject.report_health(&credentials, health());
        let both = join(told, rig.report(Ok(())));
        let (told, heard) = patiently("a report", both).await;
        told.expect("report");
        assert_eq!(heard, Report::Health(health().into()));
        let told = subject.report_metrics(&credentials, metrics());
        let both = join(told, rig.report(Ok(())));
        let (told, heard) = patiently("figures", both).await;
        told.expect("report");
        assert_eq!(heard, Report::Metrics(metrics()));
    }
}

/// Clause 6: a second attempt would wait here for an answer that never comes.
pub async fn a_refused_report_is_not_retried<R: Rig>() {
    let (mut rig, subject) = start::<R>().await;
    let credentials = credentials();
    let reason = "the key is not known".to_owned();
    let told = subject.report_health(&credentials, health());
    let both = join(told, rig.report(Err(reason.clone())));
    let (told, _) = patiently("a refused report", both).await;
    expect_refusal(told, &reason);
    let told = subject.report_metrics(&credentials, metrics());
    let both = join(told, rig.report(Err(reason.clone())));
    let (told, _) = patiently("refused figures", both).await;
    expect_refusal(told, &reason);
}

//! Sessions, lost and found, with a master in memory. Time is paused: waits
//! take none and their lengths are exact.

mod keys;

use std::{path::Path, sync::Arc, time::Duration};

use nxmesh_core::{
    bundle::Slice,
    contract::{clock::SystemClock, reloader::Output, transport::Credentials},
    memory::{
        Incoming, MasterSession, MemoryMaster, MemoryTransport, Report, Reported, memory_transport,
    },
    model::{AgentMetrics, Version},
    testkit::sample,
    wire::{
        ConfigPhase, ConfigStatus, MasterMessage, MetricsBatch, RegistrationRequest,
        RegistrationResponse, agent_message, master_message::Payload,
    },
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{message::Introduction, *};
use crate::{
    cache::AtRestKey,
    exchange::Exchange,
    identity::{Identity, IdentityStore},
    keyring::Keyring,
    status::{AgentStatus, ConnectionState},
    testkit::whole,
};

const LONG: Duration = Duration::from_secs(600);
/// Longer than the pauses of any other test together.
const CALLS_AFTER: Duration = Duration::from_secs(7200);

struct Rig {
    exchange: Arc<Exchange>,
    master: MemoryMaster,
    status: watch::Receiver<AgentStatus>,
    stop: CancellationToken,
    running: JoinSet<()>,
}

#[derive(Debug)]
struct NoLog;

#[async_trait::async_trait]
impl super::logs::LogSource for NoLog {
    async fn open(&self) -> std::io::Result<Option<std::fs::File>> {
        Ok(None)
    }

    async fn output(&self, _: u32, _: bool) -> std::io::Result<Option<Output>> {
        Ok(None)
    }
}

fn identity_store(folder: &Path) -> IdentityStore {
    IdentityStore::new(folder, AtRestKey::new([1; 32]))
}

/// The identity in `folder`, which is made if it is not there.
fn identity(folder: &Path) -> Identity {
    let store = identity_store(folder);
    if let Some(known) = store.load().unwrap() {
        return known;
    }
    let identity = Identity {
        credentials: Credentials {
            agent_id: sample::agent_id(1),
            key_id: "1".to_owned(),
            session_key: nxmesh_core::seal::SessionKey::new([7; 32]),
        },
        next: None,
        master_ca: String::new(),
        master_urls: Vec::new(),
        workspace: "default".to_owned(),
    };
    store.store(&identity).unwrap();
    identity
}

fn connection(transport: MemoryTransport, folder: &Path, exchange: Arc<Exchange>) -> Connection {
    Connection {
        transport: Arc::new(transport),
        keys: Keyring::new(&identity(folder), identity_store(folder)),
        options: ConnectionOptions {
            calls_after: CALLS_AFTER,
            ..ConnectionOptions::default()
        },
        clock: Arc::new(SystemClock),
        sequence: ConnectionSequence::new(
            folder.join("connection-sequence"),
            Arc::new(SystemClock),
        ),
        introduction: Introduction {
            boot_id: "boot".to_owned(),
            hostname: "web-1".to_owned(),
            nginx_version: "1.22.1".to_owned(),
            nginx_modules: vec!["http_ssl_module".to_owned()],
            nginx_mode: "full",
        },
        exchange,
        log: Arc::new(NoLog),
        started: Instant::now(),
        pins: None,
    }
}

impl Rig {
    fn start(folder: &Path) -> Self {
        let (transport, master) = memory_transport();
        let sender = watch::Sender::default();
        let status = sender.subscribe();
        let (exchange, _commands) = Exchange::new(sender);
        let connection = connection(transport, folder, Arc::clone(&exchange));
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        let stopped = stop.clone();
        running.spawn(async move { connection.run(&stopped).await });
        Self {
            exchange,
            master,
            status,
            stop,
            running,
        }
    }

    async fn opening(&mut self) -> MasterSession {
        match timeout(LONG, self.master.accept()).await.unwrap().unwrap() {
            Incoming::Session(opening) => opening.accept(),
            other => panic!("{other:?}"),
        }
    }

    /// A session that is welcomed.
    async fn session(&mut self) -> (MasterSession, RegistrationRequest) {
        let mut session = self.opening().await;
        let hello = match heard(&mut session).await {
            agent_message::Payload::Register(hello) => hello,
            other => panic!("{other:?}"),
        };
        welcome(&mut session).await;
        self.reached(ConnectionState::Ready).await;
        (session, hello)
    }

    async fn reached(&mut self, state: ConnectionState) -> AgentStatus {
        let reached = self
            .status
            .wait_for(|status| status.connection.state == state);
        timeout(LONG, reached)
            .await
            .expect("in time")
            .unwrap()
            .clone()
    }
}

async fn welcome(session: &mut MasterSession) {
    say(
        session,
        Payload::RegisterResponse(RegistrationResponse {
            protocol: 1,
            ..RegistrationResponse::default()
        }),
    )
    .await;
}

async fn say(session: &mut MasterSession, payload: Payload) {
    session.send(message_with(payload)).await.unwrap();
}

fn message_with(payload: Payload) -> MasterMessage {
    MasterMessage {
        payload: Some(payload),
        ..MasterMessage::default()
    }
}

async fn heard(session: &mut MasterSession) -> agent_message::Payload {
    let message = timeout(LONG, session.receive()).await.expect("in time");
    message.unwrap().expect("open").payload.unwrap()
}

async fn status_heard(session: &mut MasterSession) -> ConfigStatus {
    loop {
        match heard(session).await {
            agent_message::Payload::ConfigStatus(status) => return status,
            agent_message::Payload::Health(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn version(revision: u64) -> Version {
    Version { epoch: 1, revision }
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_while_the_master_is_away_and_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    for failures in 1..=8 {
        // Dropped without an answer: unreachable.
        drop(timeout(LONG, rig.master.accept()).await.unwrap());
        let status = rig.reached(ConnectionState::Retry).await;
        assert_eq!(status.connection.failures, failures);
        assert!(
            status
                .connection
                .last_error
                .unwrap()
                .contains("did not answer")
        );
        let paused = Instant::now();
        rig.reached(ConnectionState::Connect).await;
        let ceiling = Backoff::default().ceiling(failures) + Duration::from_millis(2);
        assert!(
            paused.elapsed() <= ceiling,
            "{:?} > {ceiling:?}",
            paused.elapsed()
        );
    }
    rig.session().await;
    let status = rig.status.borrow().clone();
    assert_eq!(status.connection.failures, 0);
    assert_eq!(status.connection.last_error, None);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_shown_and_asked_again_seldom() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    for _ in 0..3 {
        let Some(Incoming::Session(opening)) = timeout(LONG, rig.master.accept()).await.unwrap()
        else {
            panic!("a session was expected");
        };
        opening.refuse("this agent was removed");
        let status = rig.reached(ConnectionState::Error).await;
        let error = status.connection.last_error.unwrap();
        assert!(error.contains("this agent was removed"), "{error}");
        let refused = Instant::now();
        rig.reached(ConnectionState::Connect).await;
        assert!(refused.elapsed() >= Duration::from_secs(30));
    }
}

#[tokio::test(start_paused = true)]
async fn each_connection_has_a_higher_number_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let mut rig = Rig::start(folder.path());
        let (session, hello) = rig.session().await;
        numbers.push(hello.connection_sequence);
        session.abort();
        let status = rig.reached(ConnectionState::Reconnect).await;
        assert!(status.connection.last_error.is_some());
        numbers.push(rig.session().await.1.connection_sequence);
        rig.stop.cancel();
        rig.running.join_next().await.unwrap().unwrap();
    }
    let first = numbers[0];
    assert_eq!(numbers, Vec::from_iter(first..first + 6));
}

#[tokio::test(start_paused = true)]
async fn a_forged_frame_ends_the_session_and_a_new_one_follows() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    let forge: [fn(&mut MasterSession) -> Vec<bytes::Bytes>; 2] = [
        |session| {
            let update = Payload::ConfigUpdate(whole(version(9), &Slice::default()));
            let mut frame = session.seal(message_with(update)).to_vec();
            frame[3] ^= 1;
            vec![frame.into()]
        },
        |session| {
            let ack = session.seal(message_with(Payload::Ack(Default::default())));
            vec![ack.clone(), ack]
        },
    ];
    for frames in forge {
        let (mut session, _) = rig.session().await;
        for frame in frames(&mut session) {
            session.send_frame(frame).await.unwrap();
        }
        let status = rig.reached(ConnectionState::Reconnect).await;
        let error = status.connection.last_error.unwrap();
        assert!(error.contains("not genuine"), "{error}");
        assert!(rig.exchange.offers.borrow().is_none());
    }
    rig.session().await;
}

#[tokio::test(start_paused = true)]
async fn a_master_that_does_not_welcome_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    let silent = rig.opening().await;
    let status = rig.reached(ConnectionState::Reconnect).await;
    let error = status.connection.last_error.unwrap();
    assert!(error.contains("did not welcome"), "{error}");
    drop(silent);

    let mut rude = rig.opening().await;
    say(
        &mut rude,
        Payload::ConfigUpdate(whole(version(1), &Slice::default())),
    )
    .await;
    let broke = rig.status.wait_for(|status| {
        let error = status.connection.last_error.as_deref();
        error.is_some_and(|error| error.contains("no welcome"))
    });
    timeout(LONG, broke).await.unwrap().unwrap();
    assert!(rig.exchange.offers.borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_newest_update_wins() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    let (mut session, _) = rig.session().await;
    for revision in 1..=20 {
        let update = whole(version(revision), &Slice::default());
        say(&mut session, Payload::ConfigUpdate(update)).await;
    }
    let mut offers = rig.exchange.offers.subscribe();
    let newest = offers.wait_for(|offer| {
        offer
            .as_ref()
            .is_some_and(|offer| offer.target.version == version(20))
    });
    timeout(LONG, newest).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_not_what_it_says_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    let (mut session, _) = rig.session().await;
    let mut update = whole(version(4), &Slice::new(sample::fleet(2)));
    update.virtual_hosts.pop();
    say(&mut session, Payload::ConfigUpdate(update.clone())).await;
    let status = status_heard(&mut session).await;
    assert_eq!(status.phase(), ConfigPhase::Rejected);
    assert_eq!(status.version.unwrap().revision, 4);
    assert_eq!(status.digest, update.digest);
    let failure = status.failure.unwrap();
    assert_eq!(failure.code, "NX-WIRE-001");
    assert!(failure.retryable);
    assert!(rig.exchange.offers.borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn statuses_wait_for_the_next_session() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    let (session, _) = rig.session().await;
    session.abort();
    rig.reached(ConnectionState::Reconnect).await;
    let applied = message::config_status(
        version(5),
        bytes::Bytes::new(),
        ConfigPhase::Applied,
        &AgentStatus::default(),
    );
    rig.exchange.outbox.push_status(applied.clone());
    // Again in each session: the one before may have lost it.
    for _ in 0..2 {
        let (mut session, _) = rig.session().await;
        assert_eq!(status_heard(&mut session).await, applied);
    }
    timeout(LONG, rig.exchange.outbox.drained()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_the_pace_the_master_sets() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    for (asked, seconds) in [(0, 30.0), (5, 5.0), (u32::MAX, 30.0)] {
        let mut session = rig.opening().await;
        heard(&mut session).await;
        let response = RegistrationResponse {
            protocol: 1,
            heartbeat_interval_seconds: asked,
            ..RegistrationResponse::default()
        };
        say(&mut session, Payload::RegisterResponse(response)).await;
        rig.reached(ConnectionState::Ready).await;
        for _ in 0..4 {
            let quiet = Instant::now();
            let payload = heard(&mut session).await;
            assert!(
                matches!(payload, agent_message::Payload::Health(_)),
                "{payload:?}"
            );
            let waited = quiet.elapsed().as_secs_f64() / seconds;
            assert!((0.89..1.12).contains(&waited), "{waited} of {seconds} s");
        }
    }
}

fn figures(requests: u64, at: u64) -> Arc<MetricsBatch> {
    let figures = AgentMetrics {
        requests: Some(requests),
        ..AgentMetrics::default()
    };
    Arc::new(MetricsBatch::of(&figures, at))
}

#[tokio::test(start_paused = true)]
async fn figures_are_told_at_once_and_whenever_there_are_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    let mut told = figures(0, 0);
    rig.exchange.metrics.send_replace(Some(Arc::clone(&told)));
    for _ in 0..2 {
        let (mut session, _) = rig.session().await;
        // First those of before the session.
        for more in 1..=3 {
            let begun = Instant::now();
            let heard = heard(&mut session).await;
            assert_eq!(heard, agent_message::Payload::Metrics((*told).clone()));
            assert_eq!(begun.elapsed(), Duration::ZERO);
            told = figures(more, told.at + 1);
            rig.exchange.metrics.send_replace(Some(Arc::clone(&told)));
        }
        session.abort();
        rig.reached(ConnectionState::Reconnect).await;
    }
}

/// What the master is told next by a call; sessions are not had meanwhile.
async fn called(rig: &mut Rig) -> Reported {
    loop {
        match timeout(2 * CALLS_AFTER, rig.master.accept()).await {
            Ok(Some(Incoming::Report(reported))) => return reported,
            Ok(Some(Incoming::Session(opening))) => drop(opening),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_session_the_master_is_told_by_calls() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    let (session, _) = rig.session().await;
    rig.exchange.metrics.send_replace(Some(figures(5, 7)));
    session.abort();
    rig.reached(ConnectionState::Reconnect).await;
    let lost = Instant::now();
    let first = called(&mut rig).await;
    assert!(lost.elapsed() >= CALLS_AFTER, "{:?}", lost.elapsed());
    assert_eq!(first.credentials.agent_id, sample::agent_id(1));
    assert!(matches!(first.report, Report::Health(_)), "{first:?}");
    first.accept();
    let second = called(&mut rig).await;
    assert_eq!(second.report, Report::Metrics((*figures(5, 7)).clone()));
    second.accept();
    // The same figures are not told twice.
    let quiet = Instant::now();
    let third = called(&mut rig).await;
    assert!(matches!(third.report, Report::Health(_)), "{third:?}");
    let paused = quiet.elapsed().as_secs_f64() / 30.0;
    assert!((0.89..1.12).contains(&paused), "{paused}");
    // Nobody takes them: once each time, and ever more seldom.
    third.refuse("no");
    for pause in [60.0, 120.0, 240.0, 480.0, 600.0, 600.0] {
        let refused = Instant::now();
        let report = called(&mut rig).await;
        let paused = refused.elapsed().as_secs_f64() / pause;
        assert!((0.89..1.12).contains(&paused), "{paused} of {pause} s");
        report.refuse("no");
    }
    // With a session there is no need.
    let (mut session, _) = loop {
        match timeout(LONG, rig.master.accept()).await.unwrap().unwrap() {
            Incoming::Session(opening) => {
                let mut session = opening.accept();
                let hello = heard(&mut session).await;
                welcome(&mut session).await;
                break (session, hello);
            }
            other => drop(other),
        }
    };
    rig.reached(ConnectionState::Ready).await;
    let listening = async {
        loop {
            heard(&mut session).await;
        }
    };
    tokio::select! {
        called = rig.master.accept() => panic!("{called:?}"),
        () = tokio::time::sleep(2 * CALLS_AFTER) => {}
        () = listening => {}
    }
}

//! An agent's key is changed in two phases; whatever is lost or killed, some key
//! of the agent is taken, and the old one no more once the new one was used.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nxmesh_core::{
    api::{CommandKind, CommandState, CommandView, KeyView},
    contract::storage::{ListAudit, Storage, StorageError, UnitOfWork},
    memory::MemoryStorage,
    seal::SessionKey,
    wire::{Ack, HealthReport, KeyOffer, KeyRefusal, agent_message::Payload, master_message},
};
use nxmesh_master_lib::coordination::{CommandError, FleetOptions};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Status};

use super::{Agent, Conversation, Hello, Master, call, conversation::with, workspace};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A master that changes keys at this age.
fn lifetime(of_keys: Option<Duration>) -> FleetOptions {
    let mut options = FleetOptions::default();
    options.key_lifetime = of_keys;
    options
}

/// What an operator asks for.
async fn rotate(master: &Master, agent: &Agent) -> Result<CommandView, CommandError> {
    let fleet = &master.fleet;
    let kind = CommandKind::RotateKey;
    fleet
        .command(&workspace(), &agent.id, kind, MINUTE, "ada")
        .await
}

async fn settled(master: &Master, agent: &Agent, given: &CommandView) -> CommandView {
    let until = Instant::now() + 10 * MINUTE;
    let fleet = &master.fleet;
    let view = fleet
        .wait_command(&workspace(), &agent.id, &given.id, until)
        .await;
    view.expect("it is remembered")
}

async fn offer_within(session: &mut Conversation, span: Duration) -> Option<KeyOffer> {
    let told = timeout(span, session.receive()).await.ok()?;
    match told.expect("a session").expect("a message").payload {
        Some(master_message::Payload::KeyOffer(offer)) => Some(offer),
        other => panic!("not a key: {other:?}"),
    }
}

async fn offered(session: &mut Conversation) -> KeyOffer {
    let offer = offer_within(session, MINUTE).await;
    offer.expect("a key is offered")
}

impl Agent {
    /// The same agent once it signs with the key it was offered.
    fn with_key(&self, offer: &KeyOffer) -> Self {
        Self {
            key_id: offer.key_id.clone(),
            key: SessionKey::from_slice(&offer.session_key).expect("a key"),
            ..self.clone()
        }
    }

    /// The answer to a call signed with its key.
    async fn calls(&self, master: &Master) -> Result<Ack, Status> {
        static CALLS: AtomicU64 = AtomicU64::new(1);
        let nonce = format!("call-{:016}", CALLS.fetch_add(1, Ordering::Relaxed));
        let now = master.clock_millis();
        let headers = self.headers_at(now, "ReportHealth", b"", &nonce);
        let request = with(&headers, Request::new(HealthReport::default()));
        call(&master.channel(), "ReportHealth", request).await
    }

    async fn is_taken(&mut self, master: &Master) -> Conversation {
        self.calls(master).await.expect("a call is taken");
        self.connect(master, Hello::fresh()).await
    }

    async fn is_refused(&mut self, master: &Master) {
        let refused = self.calls(master).await.expect_err("a call is refused");
        assert_eq!(refused.code(), Code::Unauthenticated);
        let refused = self.try_connect(master, Hello::fresh()).await;
        let refused = refused.err().expect("a stream is refused");
        assert_eq!(refused.code(), Code::Unauthenticated);
        let said = refused.message();
        assert!(said.contains("does not sign with key"), "{refused}");
        assert!(said.contains("copy"), "{refused}");
    }
}

async fn key(master: &Master, agent: &Agent) -> KeyView {
    master.view(agent).await.key.expect("a key is shown")
}

/// A storage that can be told to fail when it is to be written.
#[derive(Debug, Default)]
struct Failing {
    inner: MemoryStorage,
    fails: AtomicBool,
}

#[async_trait]
impl Storage for Failing {
    fn backend(&self) -> &'static str {
        "failing"
    }

    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(StorageError::Unavailable {
                backend: "failing",
                action: "be written",
                source: "told to fail".into(),
            });
        }
        self.inner.begin().await
    }

    async fn read(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        self.inner.read().await
    }
}

/// What the audit log says of keys.
async fn audited(master: &Master) -> Vec<(String, String)> {
    // Entries that need not be there before something is done are gathered.
    sleep(Duration::from_secs(2)).await;
    let all = ListAudit {
        workspace: Some(workspace()),
        after: 0,
        newest_first: false,
        limit: 1000,
    };
    let log = master.fleet.audit_log(&all).await.expect("read");
    let of_keys = log
        .into_iter()
        .filter(|it| it.entry.action == "agent:rotate-key");
    of_keys
        .map(|it| (it.entry.actor, it.entry.outcome))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_key_changes_on_command_and_the_old_one_is_refused() {
    let master = Master::start().await;
    let mut old = master.agent(&[]).await;
    let mut session = old.connect(&master, Hello::fresh()).await;
    assert_eq!(session.only_key, old.key_id);
    let before = key(&master, &old).await;
    assert_eq!((before.id, before.next), (old.key_id.clone(), None));

    let given = rotate(&master, &old).await.expect("given");
    let offer = offered(&mut session).await;
    assert_eq!(offer.session_key.len(), 32);
    let shown = key(&master, &old).await;
    assert_eq!(shown.id, old.key_id);
    assert_eq!(shown.next.expect("on offer").id, offer.key_id);
    // Both are taken until the new one was used.
    let mut new = old.with_key(&offer);
    new.calls(&master).await.expect("taken");
    old.calls(&master).await.expect("taken");
    let waiting = master
        .fleet
        .command_view(&workspace(), &old.id, &given.id)
        .expect("remembered");
    assert_eq!(waiting.state, CommandState::Waiting);

    master.clock.advance(MINUTE);
    new.sequence = old.sequence;
    let mut session = new.connect(&master, Hello::fresh()).await;
    assert_eq!(session.only_key, new.key_id);
    let done = settled(&master, &new, &given).await;
    assert_eq!(done.state, CommandState::Done, "{done:?}");
    assert!(done.message.contains(&new.key_id), "{done:?}");
    let shown = key(&master, &new).await;
    assert_eq!((shown.id, shown.next), (new.key_id.clone(), None));
    assert_eq!(shown.since, master.clock_millis());
    old.is_refused(&master).await;

    // It is served as before, and its key can be changed again.
    master.put("shop", "one").await;
    let update = session.update().await;
    session.apply(&update).await;
    rotate(&master, &new).await.expect("given");
    let again = offered(&mut session).await;
    assert_ne!(again.key_id, offer.key_id);
    assert_ne!(again.session_key, offer.session_key);
    let actor = format!("agent/{}", old.id);
    let asked = |actor: &str, outcome: &str| (actor.to_owned(), outcome.to_owned());
    assert_eq!(
        audited(&master).await,
        [
            asked("ada", "asked"),
            asked(&actor, "done"),
            asked("ada", "asked")
        ]
    );
}

/// The same key, until it is used: after pauses in one session, and in the next.
#[tokio::test(start_paused = true)]
async fn an_offer_that_is_lost_is_repeated() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let given = rotate(&master, &agent).await.expect("given");
    let first = offered(&mut session).await;
    // One that joins a change on its way makes no other.
    let joined = rotate(&master, &agent).await.expect("given");
    let mut pauses = Vec::new();
    for _ in 0..10 {
        session.heartbeat().await;
        let begun = Instant::now();
        while begun.elapsed() < 10 * MINUTE {
            session.heartbeat().await;
            if let Some(again) = offer_within(&mut session, MINUTE).await {
                assert_eq!(again, first);
                pauses.push(begun.elapsed());
                break;
            }
        }
    }
    assert_eq!(pauses.len(), 10);
    assert!(pauses[1] < MINUTE, "{pauses:?}");
    let most = Duration::from_secs(301);
    assert!(pauses.iter().all(|it| *it <= most), "{pauses:?}");
    assert!(pauses[9] >= Duration::from_secs(299), "{pauses:?}");
    for _ in 0..2 {
        drop(session);
        session = agent.connect(&master, Hello::fresh()).await;
        assert_eq!(session.only_key, "", "two are taken");
        assert_eq!(offered_meanwhile(&mut session).await, first);
    }
    let mut new = agent.with_key(&first);
    new.is_taken(&master).await;
    // Later than anybody waited, and true all the same.
    for given in [given, joined] {
        let done = settled(&master, &new, &given).await;
        assert_eq!(done.state, CommandState::Done, "{done:?}");
    }
    agent.sequence = new.sequence;
    agent.is_refused(&master).await;
}

/// The master dies after each step; the next one goes on from there.
#[tokio::test(start_paused = true)]
async fn a_master_that_dies_at_any_step_leaves_the_agent_a_key() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let restarted = async |master: Master| {
        drop(master);
        Master::on(Arc::clone(&storage)).await
    };
    let master = Master::on(Arc::clone(&storage)).await;
    let mut old = master.agent(&[]).await;
    let session = old.connect(&master, Hello::fresh()).await;
    rotate(&master, &old).await.expect("given");
    drop(session);

    // Before the offer was sent, or as it is on its way.
    let master = restarted(master).await;
    let mut session = old.connect(&master, Hello::fresh()).await;
    let offer = offered(&mut session).await;
    let master = restarted(master).await;
    let mut session = old.connect(&master, Hello::fresh()).await;
    assert_eq!(offered(&mut session).await, offer);

    // As the agent comes with the new key.
    let master = restarted(master).await;
    let mut new = old.with_key(&offer);
    let headers = new.headers("Stream", b"", "aaaaaaaaaaaaaaaa");
    let opened = new.open(&master.channel(), &headers).await;
    let master = restarted(master).await;
    drop(opened);
    old.calls(&master).await.expect("taken");
    new.calls(&master).await.expect("taken");

    // Right after the new key was stored as the only one, whether the agent heard
    // of that or not.
    new.sequence = old.sequence;
    let welcomed = new.connect(&master, Hello::fresh()).await;
    assert_eq!(welcomed.only_key, new.key_id);
    let master = restarted(master).await;
    old.sequence = new.sequence;
    old.is_refused(&master).await;
    new.is_taken(&master).await;
    assert_eq!(key(&master, &new).await.id, new.key_id);
}

/// Until the storage has the new key as the only one, both are taken, and the
/// agent is not told to forget one.
#[tokio::test(start_paused = true)]
async fn a_storage_that_fails_takes_no_key_away() {
    let storage = Arc::new(Failing::default());
    let master = Master::on(Arc::<Failing>::clone(&storage)).await;
    let mut old = master.agent(&[]).await;
    let mut session = old.connect(&master, Hello::fresh()).await;

    storage.fails.store(true, Ordering::SeqCst);
    let refused = rotate(&master, &old).await.expect_err("cannot be stored");
    assert!(matches!(refused, CommandError::Storage(_)), "{refused}");
    assert_eq!(key(&master, &old).await.next, None);
    storage.fails.store(false, Ordering::SeqCst);
    rotate(&master, &old).await.expect("given");
    let offer = offered(&mut session).await;

    storage.fails.store(true, Ordering::SeqCst);
    let mut new = old.with_key(&offer);
    let mut session = new.connect(&master, Hello::fresh()).await;
    assert_eq!(session.only_key, "");
    old.calls(&master).await.expect("taken");
    assert_eq!(key(&master, &old).await.id, old.key_id);

    storage.fails.store(false, Ordering::SeqCst);
    let until = Instant::now() + 5 * MINUTE;
    while key(&master, &new).await.id == old.key_id {
        assert!(Instant::now() < until, "the new key is not stored");
        session.heartbeat().await;
        sleep(Duration::from_secs(10)).await;
    }
    old.sequence = new.sequence;
    old.is_refused(&master).await;
    new.sequence = old.sequence;
    assert_eq!(new.is_taken(&master).await.only_key, new.key_id);
}

/// An agent that does not say it can is offered nothing, whoever wants it.
#[tokio::test(start_paused = true)]
async fn an_older_agent_is_offered_no_key() {
    let options = lifetime(Some(Duration::from_secs(3600)));
    let master = Master::with(Arc::new(MemoryStorage::new()), options).await;
    let mut agent = master.agent(&[]).await;
    let older = Hello {
        rotates: false,
        ..Hello::fresh()
    };
    let mut session = agent.connect(&master, older.clone()).await;
    let refused = rotate(&master, &agent).await.expect_err("it is too old");
    assert!(matches!(refused, CommandError::TooOld { .. }), "{refused}");
    master.clock.advance(2 * DAY);
    session.is_left_alone(MINUTE).await;
    assert_eq!(key(&master, &agent).await.next, None);

    // Nor one that was set back to an older version meanwhile.
    drop(session);
    let session = agent.connect(&master, Hello::fresh()).await;
    rotate(&master, &agent).await.expect("given");
    drop(session);
    let mut session = agent.connect(&master, older).await;
    session.is_left_alone(MINUTE).await;
    let away = master.agent(&[]).await;
    let refused = rotate(&master, &away).await.expect_err("it is away");
    assert!(matches!(refused, CommandError::Away { .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn age_changes_keys() {
    const LIFETIME: Duration = Duration::from_secs(100 * 60);
    let options = lifetime(Some(LIFETIME));
    let master = Master::with(Arc::new(MemoryStorage::new()), options).await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    master.clock.advance(LIFETIME * 8 / 10);
    session.is_left_alone(MINUTE).await;
    session.heartbeat().await;
    master.clock.advance(LIFETIME * 2 / 10);
    let offer = offered_meanwhile(&mut session).await;
    let mut new = agent.with_key(&offer);
    let mut session = new.connect(&master, Hello::fresh()).await;
    assert_eq!(session.only_key, new.key_id);
    session.is_left_alone(MINUTE).await;
    let asked = ("master".to_owned(), "asked".to_owned());
    let done = (format!("agent/{}", agent.id), "done".to_owned());
    assert_eq!(audited(&master).await, [asked, done]);

    // One that was away is offered another once it is back.
    drop(session);
    master.clock.advance(2 * LIFETIME);
    sleep(2 * MINUTE).await;
    assert_eq!(key(&master, &new).await.next, None);
    let mut session = new.connect(&master, Hello::fresh()).await;
    offered_meanwhile(&mut session).await;

    let options = lifetime(None);
    let master = Master::with(Arc::new(MemoryStorage::new()), options).await;
    let mut agent = master.agent(&[]).await;
    master.clock.advance(3650 * DAY);
    let mut session = agent.connect(&master, Hello::fresh()).await;
    session.is_left_alone(MINUTE).await;
}

/// The next offer, of an agent that is there all the time.
async fn offered_meanwhile(session: &mut Conversation) -> KeyOffer {
    for _ in 0..20 {
        session.heartbeat().await;
        if let Some(offer) = offer_within(session, MINUTE).await {
            return offer;
        }
    }
    panic!("no key is offered");
}

/// However many are due, they are not changed at once.
#[tokio::test(start_paused = true)]
async fn old_keys_of_a_fleet_are_changed_in_turn() {
    const AGENTS: usize = 150;
    let options = lifetime(Some(DAY));
    let master = Master::with(Arc::new(MemoryStorage::new()), options).await;
    let mut sessions = Vec::new();
    for _ in 0..AGENTS {
        let mut agent = master.agent(&[]).await;
        let session = agent.connect(&master, Hello::fresh()).await;
        sessions.push((agent, session));
    }
    master.clock.advance(2 * DAY);
    let on_offer = async || {
        let agents = master.fleet.agents(&workspace()).await;
        let next = agents
            .iter()
            .filter_map(|it| it.key.as_ref()?.next.as_ref());
        next.count()
    };
    let mut seen = vec![0];
    for _ in 0..6 {
        for (_, session) in &mut sessions {
            session.heartbeat().await;
        }
        sleep(MINUTE).await;
        master.clock.advance(MINUTE);
        let now = on_offer().await;
        let most = seen.last().copied().unwrap_or_default() + 64;
        assert!(now <= most, "{now} after {seen:?}");
        seen.push(now);
    }
    assert_eq!(on_offer().await, AGENTS, "{seen:?}");
}

/// A key that nobody used in a week is not taken any more, and another is made.
#[tokio::test(start_paused = true)]
async fn an_offer_ends_after_a_week() {
    let master = Master::start().await;
    let mut old = master.agent(&[]).await;
    let mut session = old.connect(&master, Hello::fresh()).await;
    rotate(&master, &old).await.expect("given");
    let unused = offered(&mut session).await;
    master.clock.advance(6 * DAY);
    sleep(2 * MINUTE).await;
    let mut late = old.with_key(&unused);
    late.calls(&master).await.expect("taken");
    master.clock.advance(DAY);
    sleep(2 * MINUTE).await;
    assert_eq!(key(&master, &old).await.next, None);
    late.sequence = old.sequence;
    late.is_refused(&master).await;
    old.sequence = late.sequence;
    let mut session = old.is_taken(&master).await;
    assert_eq!(session.only_key, old.key_id);
    rotate(&master, &old).await.expect("given");
    let offer = offered(&mut session).await;
    assert_ne!(offer.key_id, unused.key_id);
    let outcomes = audited(&master).await.into_iter().map(|it| it.1);
    let outcomes: Vec<_> = outcomes.collect();
    assert!(outcomes.contains(&"expired".to_owned()), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn why_a_key_cannot_be_used_is_told_to_who_asked() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let given = rotate(&master, &agent).await.expect("given");
    let offer = offered(&mut session).await;
    let refusal = |key_id: &str| {
        Payload::KeyRefusal(KeyRefusal {
            key_id: key_id.to_owned(),
            reason: "no space\u{1b} left on device".to_owned(),
        })
    };
    session.send(refusal("another")).await;
    session.send(refusal(&offer.key_id)).await;
    let failed = settled(&master, &agent, &given).await;
    assert_eq!(failed.state, CommandState::Failed);
    assert!(failed.message.contains("no space left"), "{failed:?}");
    let next = key(&master, &agent).await.next.expect("still on offer");
    assert_eq!(next.problem.as_deref(), Some("no space left on device"));
    assert_eq!(offered(&mut session).await, offer);
    let mut new = agent.with_key(&offer);
    let session = new.connect(&master, Hello::fresh()).await;
    assert_eq!(session.only_key, new.key_id);
}

/// The key was changed between the opening of a stream and its first message.
#[tokio::test(start_paused = true)]
async fn a_stream_opened_with_a_key_that_was_retired_since_is_refused() {
    let master = Master::start().await;
    let mut old = master.agent(&[]).await;
    let mut session = old.connect(&master, Hello::fresh()).await;
    rotate(&master, &old).await.expect("given");
    let offer = offered(&mut session).await;
    let headers = old.headers("Stream", b"", "aaaaaaaaaaaaaaaa");
    let opened = old.open(&master.channel(), &headers).await;
    let mut opened = opened.expect("both are taken");
    let mut new = old.with_key(&offer);
    let _session = new.connect(&master, Hello::fresh()).await;
    old.sequence = new.sequence + 1;
    let hello = Payload::Register(old.hello(Hello::fresh()));
    opened.send(hello).await;
    let refused = opened.ended().await;
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    assert!(master.view(&new).await.connected);
}

/// A copy of the agent's state from before the change is out; one that has the
/// new key too is found out as ever.
#[tokio::test(start_paused = true)]
async fn copies_of_an_agent_do_not_profit_from_a_change() {
    let master = Master::start().await;
    let mut old = master.agent(&[]).await;
    let mut session = old.connect(&master, Hello::fresh()).await;
    rotate(&master, &old).await.expect("given");
    let offer = offered(&mut session).await;
    let mut copy = old.clone();
    let mut new = old.with_key(&offer);
    let mut twin = new.clone();
    let _session = new.connect(&master, Hello::fresh()).await;
    copy.is_refused(&master).await;
    assert_eq!(master.view(&new).await.quarantine, None);

    let other = Hello {
        boot_id: "boot-2",
        ..Hello::fresh()
    };
    let found = twin.try_connect(&master, other.clone()).await;
    let found = found.err().expect("it is found out");
    assert_eq!(found.code(), Code::PermissionDenied, "{found}");
    assert!(master.view(&new).await.quarantine.is_some());
    let refused = rotate(&master, &new).await.expect_err("it is away");
    assert!(matches!(refused, CommandError::Away { .. }), "{refused}");
}

/// In quarantine a key on offer does not become the only one, whoever has it.
#[tokio::test(start_paused = true)]
async fn a_quarantine_keeps_both_keys() {
    let master = Master::start().await;
    let mut old = master.agent(&[]).await;
    let mut session = old.connect(&master, Hello::fresh()).await;
    rotate(&master, &old).await.expect("given");
    let offer = offered(&mut session).await;
    let mut copy = old.clone();
    copy.sequence -= 1;
    let other = Hello {
        boot_id: "boot-2",
        ..Hello::fresh()
    };
    let found = copy.try_connect(&master, other).await;
    assert_eq!(
        found.err().expect("found out").code(),
        Code::PermissionDenied
    );
    let mut new = old.with_key(&offer);
    let refused = new.try_connect(&master, Hello::fresh()).await;
    assert_eq!(
        refused.err().expect("refused").code(),
        Code::PermissionDenied
    );
    let again = master
        .fleet
        .unquarantine(&workspace(), &old.id, "ada")
        .await;
    assert!(again.expect("stored"));
    old.sequence = new.sequence;
    old.connect(&master, Hello::fresh()).await;
    new.sequence = old.sequence;
    let session = new.connect(&master, Hello::fresh()).await;
    assert_eq!(session.only_key, new.key_id);
}

/// Whose reply was lost enrols again with the same token, and gets the key that
/// is taken.
#[tokio::test(start_paused = true)]
async fn an_enrolment_that_is_repeated_gets_the_key_in_use() {
    let master = Master::start().await;
    let token = master.token(&[]).await;
    let enrol = async || {
        let enrolled = master.enrol(&token, "install-again").await.expect("enrol");
        Agent {
            id: enrolled.agent_id.parse().expect("an id"),
            key_id: enrolled.key_id,
            key: SessionKey::from_slice(&enrolled.session_key).expect("a key"),
            sequence: 0,
        }
    };
    let mut old = enrol().await;
    let mut session = old.connect(&master, Hello::fresh()).await;
    rotate(&master, &old).await.expect("given");
    let offer = offered(&mut session).await;
    assert_eq!(enrol().await.key_id, old.key_id);
    let mut new = old.with_key(&offer);
    let _session = new.connect(&master, Hello::fresh()).await;
    let again = enrol().await;
    assert_eq!((&again.id, &again.key_id), (&new.id, &new.key_id));
    again.calls(&master).await.expect("taken");
}

/// What an agent tells is stored later than its keys, and takes nothing back.
#[tokio::test(start_paused = true)]
async fn what_is_stored_late_takes_no_key_back() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let master = Master::on(Arc::clone(&storage)).await;
    let mut old = master.agent(&[]).await;
    let mut session = old.connect(&master, Hello::fresh()).await;
    session.heartbeat().await;
    rotate(&master, &old).await.expect("given");
    let offer = offered(&mut session).await;
    session.heartbeat().await;
    let mut new = old.with_key(&offer);
    let mut session = new.connect(&master, Hello::fresh()).await;
    session.heartbeat().await;
    sleep(Duration::from_secs(5)).await;
    let mut unit = storage.read().await.expect("read");
    let record = unit.agents().get(&new.id).await.expect("read");
    let keys = record.expect("there").keys;
    assert_eq!(
        (keys.primary.id, keys.secondary),
        (new.key_id.clone(), None)
    );
}

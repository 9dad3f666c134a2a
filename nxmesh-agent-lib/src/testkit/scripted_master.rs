//! A master in the same process that does what a test tells it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use nxmesh_core::{
    bundle::Slice,
    digest::Digest,
    memory::{
        Enrolment, Incoming, MasterSession, MemoryMaster, MemoryTransport, Opening, Report,
        memory_transport,
    },
    model::Version,
    wire::{
        self, Command, CommandResult, ConfigStatus, ConfigUpdate, HealthReport, MasterMessage,
        MetricsBatch, RegisterAgentRequest, RegisterAgentResponse, RegistrationRequest,
        RegistrationResponse, agent_message, master_message,
    },
};
use tokio::{
    sync::{broadcast, watch},
    task::{AbortHandle, JoinSet},
};

use super::update::{delta, offer, whole};

/// How long [`ScriptedMaster::wait_for`] waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// A master that enrols every agent which has its token, keeps them at one
/// update, and remembers all they say. Clones are the same master; it ends
/// with the last of them.
#[derive(Debug, Clone)]
pub struct ScriptedMaster {
    shared: Arc<Shared>,
    _task: Arc<Ending>,
}

/// Everything agents said, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Requests for an identity, refused ones too.
    pub enrolments: Vec<RegisterAgentRequest>,
    /// First messages of sessions.
    pub hellos: Vec<RegistrationRequest>,
    /// What came of updates.
    pub statuses: Vec<ConfigStatus>,
    /// Heartbeats.
    pub health: Vec<HealthReport>,
    /// What was counted.
    pub metrics: Vec<MetricsBatch>,
    /// What was told without a session.
    pub reports: Vec<Report>,
    /// Results of commands.
    pub results: Vec<CommandResult>,
    /// Digests of fetched bundles.
    pub fetched: Vec<Bytes>,
}

/// What was waited for did not come.
#[derive(Debug, thiserror::Error)]
#[error("not heard within {PATIENCE:?}; heard was {heard:#?}")]
pub struct NotHeard {
    heard: Box<Heard>,
}

#[derive(Debug)]
struct Shared {
    heard: watch::Sender<Heard>,
    desired: watch::Sender<Option<Arc<ConfigUpdate>>>,
    away: watch::Sender<bool>,
    orders: broadcast::Sender<MasterMessage>,
    script: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    replies_to_lose: usize,
    /// The token is spent on one installation.
    enrolled: Option<String>,
    bundles: HashMap<Bytes, Bytes>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("replies_to_lose", &self.replies_to_lose)
            .field("enrolled", &self.enrolled)
            .finish_non_exhaustive()
    }
}

/// Ends the master's task when the last clone goes.
#[derive(Debug)]
struct Ending(AbortHandle);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ScriptedMaster {
    /// The token this master takes, from one installation.
    pub const TOKEN: &str = "nxm_scripted";
    /// The identity it gives.
    pub const AGENT_ID: &str = "0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d";

    /// Starts a master, and makes the transport that reaches it. Needs a tokio
    /// runtime around it.
    #[must_use]
    pub fn start() -> (Self, MemoryTransport) {
        let (transport, master) = memory_transport();
        let shared = Arc::new(Shared {
            heard: watch::Sender::default(),
            desired: watch::Sender::default(),
            away: watch::Sender::default(),
            orders: broadcast::Sender::new(16),
            script: Mutex::default(),
        });
        let task = tokio::spawn(serve(Arc::clone(&shared), master));
        let ending = Arc::new(Ending(task.abort_handle()));
        let master = Self {
            shared,
            _task: ending,
        };
        (master, transport)
    }

    /// Keeps agents at `slice` from now on, sent whole and inline.
    pub fn desire(&self, version: Version, slice: &Slice) {
        self.send_update(whole(version, slice));
    }

    /// Keeps agents at `slice` from now on, sent as an offer they have to fetch.
    pub fn desire_by_offer(&self, version: Version, slice: &Slice) {
        let (update, content) = offer(whole(version, slice));
        let digest = Bytes::copy_from_slice(Digest::of(&content).as_bytes());
        self.shared.script().bundles.insert(digest, content);
        self.send_update(update);
    }

    /// Keeps agents at `slice` from now on, sent as its difference to `base`.
    pub fn desire_by_delta(&self, version: Version, base: &Slice, slice: &Slice) {
        self.send_update(delta(version, base, slice));
    }

    /// Sends an update as it is to the connected agents, and to each that connects.
    pub fn send_update(&self, update: ConfigUpdate) {
        self.shared.desired.send_replace(Some(Arc::new(update)));
    }

    /// Sends a command to the connected agents, at the time 1,000 (Unix
    /// milliseconds) on this master's clock.
    pub fn command(&self, command: Command) {
        // Without agents nobody is to be commanded.
        drop(self.shared.orders.send(MasterMessage {
            timestamp: 1_000,
            payload: Some(master_message::Payload::Command(command)),
            ..MasterMessage::default()
        }));
    }

    /// Tells the connected agents that the result of a command was heard.
    pub fn acknowledge(&self, command_id: &str) {
        drop(self.shared.orders.send(MasterMessage {
            timestamp: 1_000,
            payload: Some(master_message::Payload::Ack(wire::Ack {
                command_id: command_id.to_owned(),
                ..wire::Ack::default()
            })),
            ..MasterMessage::default()
        }));
    }

    /// Loses the replies to so many enrolments, after having done them.
    pub fn lose_enrolment_replies(&self, count: usize) {
        self.shared.script().replies_to_lose = count;
    }

    /// Ends all sessions and answers nobody until [`come_back`](Self::come_back).
    pub fn go_away(&self) {
        self.shared.away.send_replace(true);
    }

    /// Answers again.
    pub fn come_back(&self) {
        self.shared.away.send_replace(false);
    }

    /// Everything heard so far.
    #[must_use]
    pub fn heard(&self) -> Heard {
        self.shared.heard.borrow().clone()
    }

    /// Waits until `find` finds what it looks for in what was heard.
    ///
    /// # Errors
    ///
    /// [`NotHeard`] after 30 seconds, with all that was heard.
    pub async fn wait_for<T>(
        &self,
        mut find: impl FnMut(&Heard) -> Option<T>,
    ) -> Result<T, NotHeard> {
        let mut heard = self.shared.heard.subscribe();
        let found = async {
            loop {
                if let Some(found) = find(&heard.borrow_and_update()) {
                    return found;
                }
                if heard.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .map_err(|_| NotHeard {
                heard: Box::new(self.heard()),
            })
    }

    /// Waits for the status of a version with a phase.
    ///
    /// # Errors
    ///
    /// [`NotHeard`] after 30 seconds, with all that was heard.
    pub async fn status(
        &self,
        version: Version,
        phase: wire::ConfigPhase,
    ) -> Result<ConfigStatus, NotHeard> {
        let wanted = Some(wire_version(version));
        self.wait_for(|heard| {
            let mut statuses = heard.statuses.iter();
            statuses
                .find(|status| status.version == wanted && status.phase() == phase)
                .cloned()
        })
        .await
    }
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, add: impl FnOnce(&mut Heard)) {
        self.heard.send_modify(add);
    }

    fn enrol(&self, enrolment: Enrolment) {
        let request = enrolment.request.clone();
        let mut script = self.script();
        let known = script.enrolled.get_or_insert(request.install_id.clone());
        let admitted =
            request.bootstrap_token == ScriptedMaster::TOKEN && *known == request.install_id;
        let lost = script.replies_to_lose > 0;
        script.replies_to_lose = script.replies_to_lose.saturating_sub(1);
        drop(script);
        let key = Digest::of(request.install_id.as_bytes());
        self.hear(|heard| heard.enrolments.push(request));
        if lost {
            return;
        }
        if !admitted {
            return enrolment.refuse("the bootstrap token is not valid");
        }
        enrolment.accept(RegisterAgentResponse {
            agent_id: ScriptedMaster::AGENT_ID.to_owned(),
            key_id: "1".to_owned(),
            session_key: Bytes::copy_from_slice(key.as_bytes()),
            heartbeat_interval_seconds: 30,
            master_ca: "scripted".to_owned(),
            workspace: "default".to_owned(),
        });
    }
}

async fn serve(shared: Arc<Shared>, mut master: MemoryMaster) {
    let mut sessions = JoinSet::new();
    while let Some(incoming) = master.accept().await {
        if *shared.away.borrow() {
            continue;
        }
        match incoming {
            Incoming::Enrolment(enrolment) => shared.enrol(enrolment),
            Incoming::Session(opening) => {
                sessions.spawn(attend(Arc::clone(&shared), opening));
            }
            Incoming::Bundle(request) => {
                let content = shared.script().bundles.get(&request.digest).cloned();
                let digest = request.digest.clone();
                shared.hear(|heard| heard.fetched.push(digest));
                match content {
                    Some(content) => request.answer(content),
                    None => request.refuse("no such bundle"),
                }
            }
            Incoming::Report(reported) => {
                let report = reported.report.clone();
                shared.hear(|heard| heard.reports.push(report));
                reported.accept();
            }
        }
        while sessions.try_join_next().is_some() {}
    }
}

/// One session, until either side has had enough.
async fn attend(shared: Arc<Shared>, opening: Opening) {
    let mut session = opening.accept();
    let mut desired = shared.desired.subscribe();
    let mut away = shared.away.subscribe();
    let mut orders = shared.orders.subscribe();
    let welcome = master_message::Payload::RegisterResponse(RegistrationResponse {
        protocol: 1,
        ..RegistrationResponse::default()
    });
    let Ok(Some(hello)) = session.receive().await else {
        return;
    };
    if let Some(agent_message::Payload::Register(hello)) = hello.payload {
        shared.hear(|heard| heard.hellos.push(hello));
    }
    let mut open = say(&mut session, welcome).await;
    desired.mark_changed();
    while open {
        tokio::select! {
            message = session.receive() => match message {
                Ok(Some(message)) => shared.hear(|heard| heard.note(message.payload)),
                Ok(None) | Err(_) => return,
            },
            Ok(()) = desired.changed() => {
                let update = desired.borrow_and_update().clone();
                if let Some(update) = update {
                    open = say(&mut session, master_message::Payload::ConfigUpdate((*update).clone())).await;
                }
            }
            Ok(order) = orders.recv() => open = session.send(order).await.is_ok(),
            () = gone(&mut away) => return session.abort(),
        }
    }
}

async fn gone(away: &mut watch::Receiver<bool>) {
    if away.wait_for(|away| *away).await.is_err() {
        // The script has ended, and this task with it.
        std::future::pending::<()>().await;
    }
}

async fn say(session: &mut MasterSession, payload: master_message::Payload) -> bool {
    let message = MasterMessage {
        payload: Some(payload),
        ..MasterMessage::default()
    };
    session.send(message).await.is_ok()
}

impl Heard {
    fn note(&mut self, payload: Option<agent_message::Payload>) {
        use agent_message::Payload;
        match payload {
            Some(Payload::Register(hello)) => self.hellos.push(hello),
            Some(Payload::ConfigStatus(status)) => self.statuses.push(status),
            Some(Payload::Health(health)) => self.health.push(health),
            Some(Payload::CommandResult(result)) => self.results.push(result),
            Some(Payload::Metrics(batch)) => self.metrics.push(batch),
            Some(Payload::Logs(_) | Payload::KeyRefusal(_)) | None => {}
        }
    }
}

const fn wire_version(version: Version) -> wire::Version {
    wire::Version {
        epoch: version.epoch,
        revision: version.revision,
    }
}

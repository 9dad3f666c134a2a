//! One open stream: hello, then offers one way and reports the other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use nxmesh_core::{
    model::AgentId,
    seal::stream::{Direction, Opener, SealError, Sealer},
    wire::{
        AgentMessage, MasterMessage, RegistrationRequest, RegistrationResponse, agent_message,
        master_message,
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::warn;

use super::{
    calls::{Frames, heartbeat_seconds},
    frame::UpdateFrame,
    signed::Caller,
};
use crate::coordination::{Fleet, HelloError, Next, Offer, Session};

/// The protocol this master speaks.
const PROTOCOL: u32 = 1;
/// How long the hello may take.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Heartbeats that may be missed.
const MISSED_HEARTBEATS: u32 = 3;

/// Both directions of a stream whose opening was signed.
pub(super) struct Conversation {
    fleet: Fleet,
    master_ca: Arc<str>,
    agent: AgentId,
    key_id: String,
    incoming: Incoming,
    sealer: Sealer,
    frames: mpsc::Sender<Result<Bytes, Status>>,
}

struct Incoming {
    agent: AgentId,
    frames: Frames,
    opener: Opener,
}

impl Conversation {
    pub(super) fn new(
        fleet: Fleet,
        master_ca: Arc<str>,
        caller: Caller,
        nonce: Bytes,
        incoming: Frames,
        frames: mpsc::Sender<Result<Bytes, Status>>,
    ) -> Self {
        Self {
            fleet,
            master_ca,
            agent: caller.agent.clone(),
            key_id: caller.key_id,
            sealer: Sealer::new(caller.key.clone(), nonce.clone(), Direction::ToAgent),
            incoming: Incoming {
                agent: caller.agent,
                frames: incoming,
                opener: Opener::new(caller.key, nonce, Direction::ToMaster),
            },
            frames,
        }
    }

    /// Runs until the stream ends; `turn` is kept as long as the handshake takes.
    pub(super) async fn run(mut self, turn: OwnedSemaphorePermit, stop: CancellationToken) {
        let Err(status) = self.converse(turn, &stop).await else {
            return;
        };
        if status.code() != Code::Unavailable {
            warn!(agent = %self.agent, reason = status.message(), "session ended");
        }
        // An agent that does not read is not told; it finds the stream closed.
        drop(self.frames.try_send(Err(status)));
    }

    async fn converse(
        &mut self,
        turn: OwnedSemaphorePermit,
        stop: &CancellationToken,
    ) -> Result<(), Status> {
        let hello = tokio::select! {
            () = stop.cancelled() => return Err(stopping()),
            hello = timeout(HELLO_WITHIN, self.incoming.hello()) => hello
                .map_err(|_| Status::deadline_exceeded("no register message within 10 s"))??,
        };
        let Some(hello) = hello else { return Ok(()) };
        let session = self
            .fleet
            .begin_session(&self.agent, &self.key_id, &hello)
            .map_err(refusal)?;
        drop(turn);
        self.welcome(&session).await?;
        self.attend(&session, stop).await
    }

    async fn welcome(&mut self, session: &Session) -> Result<(), Status> {
        let labels = session.labels().iter();
        let welcome = RegistrationResponse {
            protocol: PROTOCOL,
            heartbeat_interval_seconds: heartbeat_seconds(&self.fleet),
            labels: labels
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
            master_ca: self.master_ca.to_string(),
            key_id: session.only_key().await.unwrap_or_default(),
        };
        let now = self.fleet.clock().unix_millis();
        let welcome = master_message::Payload::RegisterResponse(welcome);
        let frame = tell(&mut self.sealer, welcome, now);
        // The first frame: there is room.
        self.frames
            .send(Ok(frame))
            .await
            .map_err(|_| Status::unavailable("the agent is gone"))
    }

    async fn attend(&mut self, session: &Session, stop: &CancellationToken) -> Result<(), Status> {
        let patience = self.fleet.options().heartbeat_interval * MISSED_HEARTBEATS;
        let mut silent_until = Instant::now() + patience;
        // Whether to compare desired and applied as soon as there is room to send.
        let mut look = true;
        let mut look_at: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(stopping()),
                () = session.fenced() => {
                    return Err(Status::aborted("another session of this agent took over, or it was removed"));
                }
                () = self.frames.closed() => return Ok(()),
                message = self.incoming.next() => match message? {
                    Some(message) => {
                        silent_until = Instant::now() + patience;
                        take_in(session, message)?;
                    }
                    None => return Ok(()),
                },
                room = self.frames.reserve(), if look => {
                    let Ok(room) = room else { return Ok(()) };
                    match session.next() {
                        Next::Send(offer) => {
                            let now = self.fleet.clock().unix_millis();
                            room.send(Ok(seal(&mut self.sealer, *offer, now)));
                        }
                        Next::Tell(payload) => {
                            let now = self.fleet.clock().unix_millis();
                            room.send(Ok(tell(&mut self.sealer, *payload, now)));
                        }
                        Next::Nothing(again) => (look, look_at) = (false, again),
                    }
                }
                () = session.woken() => look = true,
                () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => {
                    (look, look_at) = (true, None);
                }
                () = sleep_until(silent_until) => {
                    return Err(Status::deadline_exceeded(format!(
                        "nothing was heard of the agent for {} s",
                        patience.as_secs()
                    )));
                }
            }
        }
    }
}

impl Incoming {
    /// The next message; `None` when the agent closed or lost the stream.
    async fn next(&mut self) -> Result<Option<AgentMessage>, Status> {
        let Some(Ok(frame)) = self.frames.next().await else {
            return Ok(None);
        };
        let message: AgentMessage = self.opener.open(&frame).map_err(|error| match error {
            SealError::Undecodable { .. } => Status::invalid_argument(error.to_string()),
            _ => Status::unauthenticated(error.to_string()),
        })?;
        if message.agent_id != self.agent.as_str() {
            return Err(Status::unauthenticated("a message names another agent"));
        }
        Ok(Some(message))
    }

    async fn hello(&mut self) -> Result<Option<RegistrationRequest>, Status> {
        let Some(message) = self.next().await? else {
            return Ok(None);
        };
        let Some(agent_message::Payload::Register(hello)) = message.payload else {
            return Err(Status::invalid_argument(
                "the first message of a stream is register",
            ));
        };
        if hello.agent_id != self.agent.as_str() {
            return Err(Status::unauthenticated("register names another agent"));
        }
        if !(hello.protocol_min..=hello.protocol_max).contains(&PROTOCOL) {
            return Err(Status::failed_precondition(format!(
                "the agent speaks protocol {} to {}, this master {PROTOCOL}; upgrade the older of the two",
                hello.protocol_min, hello.protocol_max
            )));
        }
        let boot_id = &hello.boot_id;
        if !matches!(boot_id.len(), 1..=128) || !boot_id.bytes().all(|it| it.is_ascii_graphic()) {
            return Err(Status::invalid_argument(
                "boot_id is 1 to 128 printable ASCII characters, for example a UUID",
            ));
        }
        Ok(Some(hello))
    }
}

fn take_in(session: &Session, message: AgentMessage) -> Result<(), Status> {
    use agent_message::Payload;
    match message.payload {
        Some(Payload::Register(_)) => {
            return Err(Status::invalid_argument("register comes once per stream"));
        }
        Some(Payload::ConfigStatus(status)) => session.status(&status),
        Some(Payload::Health(report)) => session.health(&report),
        Some(Payload::CommandResult(result)) => session.command_result(message.sequence, &result),
        Some(Payload::KeyRefusal(refusal)) => session.key_refused(&refusal),
        Some(Payload::Logs(batch)) => session.logs(batch),
        Some(Payload::Metrics(batch)) => session.metrics(&batch),
        // Of a kind that newer agents have.
        None => session.heard(),
    }
    Ok(())
}

fn seal(sealer: &mut Sealer, offer: Offer, timestamp: u64) -> Bytes {
    let frame = UpdateFrame {
        timestamp,
        envelope: offer.envelope,
        inline: offer.inline,
        sequence: sealer.next_sequence(),
    };
    sealer.seal(&frame)
}

fn tell(sealer: &mut Sealer, payload: master_message::Payload, timestamp: u64) -> Bytes {
    let message = MasterMessage {
        timestamp,
        payload: Some(payload),
        sequence: sealer.next_sequence(),
        seal: Bytes::new(),
    };
    sealer.seal(&message)
}

fn refusal(error: HelloError) -> Status {
    let words = error.to_string();
    match error {
        HelloError::Unknown(_) | HelloError::Retired { .. } => Status::unauthenticated(words),
        HelloError::Clone { .. } | HelloError::Quarantined { .. } => {
            Status::permission_denied(words)
        }
        // The agent's next connect has a higher sequence.
        HelloError::Fenced { .. } => Status::aborted(words),
    }
}

fn stopping() -> Status {
    Status::unavailable("the master is stopping")
}

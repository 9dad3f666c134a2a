//! One session with the master, from the hello to its end.

use std::{convert::Infallible, sync::Arc, time::Duration};

use nxmesh_core::{
    contract::transport::{Credentials, Session, SessionReceiver, SessionSender, TransportError},
    model::Drift,
    wire::{
        Command, CommandKind, CommandResult, ConfigPhase, ConfigUpdate, KeyRefusal, LogBatch,
        MasterMessage, MetricsBatch, RegistrationResponse, agent_message, master_message::Payload,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    Connection,
    backoff::random_fraction,
    logs,
    message::{self, PROTOCOL},
    update,
};
use crate::{apply::chain, exchange::Order, status::AgentStatus};

/// The range a master may choose the heartbeat from, in seconds.
const HEARTBEAT_SECONDS: std::ops::RangeInclusive<u32> = 1..=3600;

/// Orders to look at the log that may wait.
const TAIL_ORDERS: usize = 8;
/// Batches of lines that may wait to be sent.
const LOG_BATCHES: usize = 16;

/// The master is not told more often of what changes to and fro.
const TURN_PAUSE: Duration = Duration::from_millis(500);

/// How long a master may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a session ended, or why none was opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionEnd {
    #[error(transparent)]
    Transport(TransportError),
    #[error("the master did not welcome the agent within {0:?}")]
    NotWelcomed(Duration),
    #[error("the master broke the protocol: {0}")]
    Protocol(&'static str),
    #[error("the master closed the session")]
    Closed,
    #[error("the master offers another key, to be used for the next session")]
    NewKey { is_news: bool },
    #[error("the agent stops")]
    Stopped,
}

impl SessionEnd {
    /// The error and its causes in one line.
    pub(super) fn reason(&self) -> String {
        chain(self)
    }
}

/// Says hello and waits to be welcomed.
pub(super) async fn introduce(
    connection: &Connection,
    mut session: Session,
    number: u64,
) -> Result<(Session, RegistrationResponse), SessionEnd> {
    let limit = connection.options.welcome_timeout;
    let hello = {
        let status = connection.exchange.status.borrow();
        message::hello(&connection.introduction, number, &status)
    };
    let hello = message::message(
        connection.clock.unix_millis(),
        agent_message::Payload::Register(hello),
    );
    let welcomed = tokio::time::timeout(limit, async {
        session
            .sender
            .send(hello)
            .await
            .map_err(SessionEnd::Transport)?;
        receive(&mut *session.receiver).await
    });
    match welcomed.await {
        Err(_) => Err(SessionEnd::NotWelcomed(limit)),
        Ok(Err(end)) => Err(end),
        Ok(Ok((_, Payload::RegisterResponse(welcome)))) if PROTOCOL.contains(&welcome.protocol) => {
            Ok((session, welcome))
        }
        Ok(Ok((_, Payload::RegisterResponse(_)))) => Err(SessionEnd::Protocol(
            "it chose a protocol version the agent does not speak",
        )),
        Ok(Ok(_)) => Err(SessionEnd::Protocol("its first message is no welcome")),
    }
}

/// Listens and speaks until the session ends, or until `stop`.
pub(super) async fn converse(
    connection: &Connection,
    session: Session,
    welcome: &RegistrationResponse,
    credentials: &Credentials,
    stop: &CancellationToken,
) -> SessionEnd {
    let heartbeat = Some(welcome.heartbeat_interval_seconds)
        .filter(|seconds| HEARTBEAT_SECONDS.contains(seconds))
        .map_or(connection.options.heartbeat, |seconds| {
            Duration::from_secs(seconds.into())
        });
    connection.exchange.outbox.begin_session();
    let (updates, newest) = watch::channel(None);
    let (tails, tail_orders) = mpsc::channel(TAIL_ORDERS);
    let (lines, log) = mpsc::channel(LOG_BATCHES);
    let (refused, refusals) = mpsc::channel(1);
    let source = Arc::clone(&connection.log);
    let Session {
        sender,
        mut receiver,
    } = session;
    let ears = Ears {
        updates: &updates,
        tails: &tails,
        refused: &refused,
    };
    let end = tokio::select! {
        end = listen(connection, &mut *receiver, ears) => end,
        end = speak(connection, sender, heartbeat, log, refusals) => end,
        // It lasts as long as `tails`: as the session.
        () = logs::tails(source, tail_orders, lines) => SessionEnd::Closed,
        never = resolve(connection, credentials, newest) => match never {},
        () = stop.cancelled() => SessionEnd::Stopped,
    };
    if matches!(end, SessionEnd::Stopped | SessionEnd::NewKey { .. }) {
        // The sender is gone, which the master hears after all that was said. To
        // hang up before it answers could take the last words back.
        let goodbye = listen(connection, &mut *receiver, ears);
        drop(tokio::time::timeout(GOODBYE, goodbye).await);
    }
    end
}

/// Where what is heard goes.
#[derive(Clone, Copy)]
struct Ears<'a> {
    updates: &'a watch::Sender<Option<Arc<ConfigUpdate>>>,
    tails: &'a mpsc::Sender<Command>,
    /// About keys that cannot be used.
    refused: &'a mpsc::Sender<KeyRefusal>,
}

/// The next message, with the time on the master's clock when it was sent.
async fn receive(receiver: &mut dyn SessionReceiver) -> Result<(u64, Payload), SessionEnd> {
    match receiver.receive().await {
        Ok(Some(MasterMessage {
            timestamp,
            payload: Some(payload),
            ..
        })) => Ok((timestamp, payload)),
        Ok(Some(_)) => Err(SessionEnd::Protocol("a message says nothing")),
        Ok(None) => Err(SessionEnd::Closed),
        Err(error) => Err(SessionEnd::Transport(error)),
    }
}

async fn listen(
    connection: &Connection,
    receiver: &mut dyn SessionReceiver,
    ears: Ears<'_>,
) -> SessionEnd {
    loop {
        match receive(receiver).await {
            Ok((_, Payload::ConfigUpdate(update))) => {
                debug!(version = %update::version_of(&update), "offered");
                ears.updates.send_replace(Some(Arc::new(update)));
            }
            Ok((_, Payload::Command(command)))
                if matches!(command.kind(), CommandKind::Logs | CommandKind::EndLogs) =>
            {
                // One that looks at logs faster than they are opened looks again.
                drop(ears.tails.try_send(command));
            }
            Ok((sent_at, Payload::Command(command))) => take(connection, command, sent_at),
            Ok((_, Payload::Ack(ack))) => connection.exchange.outbox.acknowledged(&ack.command_id),
            Ok((_, Payload::KeyOffer(offer))) => match connection.keys.take(&offer).await {
                Ok(is_news) => return SessionEnd::NewKey { is_news },
                Err(error) => {
                    let reason = chain(&error);
                    warn!(reason, "the key the master offers cannot be used");
                    // One that cannot be told now is told when it is offered again.
                    drop(ears.refused.try_send(KeyRefusal {
                        key_id: offer.key_id,
                        reason,
                    }));
                }
            },
            Ok((_, Payload::RegisterResponse(_))) => {
                return SessionEnd::Protocol("it welcomes the agent twice");
            }
            Err(end) => return end,
        }
    }
}

/// Passes a command on, or answers at once that it cannot be done. Its deadline
/// counts from when the master sent it: the two clocks may be days apart.
fn take(connection: &Connection, command: Command, sent_at: u64) {
    let id = command.id.clone();
    let left = Duration::from_millis(command.deadline.saturating_sub(sent_at));
    let order = Order {
        until: Some(command.deadline)
            .filter(|deadline| *deadline != 0)
            .and_then(|_| Instant::now().checked_add(left)),
        command,
    };
    if connection.exchange.commands.try_send(order).is_err() {
        connection.exchange.outbox.push_result(CommandResult {
            id,
            ok: false,
            message: "too many commands wait".to_owned(),
        });
    }
}

async fn speak(
    connection: &Connection,
    mut sender: Box<dyn SessionSender>,
    heartbeat: Duration,
    mut log: mpsc::Receiver<LogBatch>,
    mut refusals: mpsc::Receiver<KeyRefusal>,
) -> SessionEnd {
    let exchange = &connection.exchange;
    let patience = connection.options.progress_after;
    let mut status = exchange.status.subscribe();
    // A new session is told at once of all but an nginx that is well.
    let mut known = Turn {
        running: status.borrow().nginx.running,
        ..Turn::default()
    };
    let mut beat = Instant::now() + varied(heartbeat);
    let mut told = Instant::now() - TURN_PAUSE;
    // A new session is told the newest figures at once.
    let mut metrics = exchange.metrics.subscribe();
    metrics.mark_changed();
    loop {
        let entry = tokio::select! {
            // Figures and lines come last: they can be dropped, the others not.
            biased;
            entry = exchange.outbox.next(patience) => Some(entry),
            () = tokio::time::sleep_until(beat) => None,
            // An nginx that is gone or back is no news for later.
            () = turned(&mut status, &known, told + TURN_PAUSE) => None,
            beside = beside(&mut refusals, &mut metrics, &mut log) => {
                let beside = message::message(connection.clock.unix_millis(), beside);
                if let Err(error) = sender.send(beside).await {
                    return SessionEnd::Transport(error);
                }
                continue;
            }
        };
        let payload = match &entry {
            Some(entry) => entry.payload.clone(),
            None => {
                let status = exchange.status.borrow();
                known = Turn::of(&status);
                told = Instant::now();
                beat = told + varied(heartbeat);
                let health = message::health(&status, connection.started.elapsed());
                agent_message::Payload::Health(health)
            }
        };
        let message = message::message(connection.clock.unix_millis(), payload);
        if let Err(error) = sender.send(message).await {
            return SessionEnd::Transport(error);
        }
        if let Some(entry) = entry {
            exchange.outbox.sent(&entry);
        }
    }
}

/// The next of what is said once and not kept.
async fn beside(
    refusals: &mut mpsc::Receiver<KeyRefusal>,
    metrics: &mut watch::Receiver<Option<Arc<MetricsBatch>>>,
    log: &mut mpsc::Receiver<LogBatch>,
) -> agent_message::Payload {
    loop {
        tokio::select! {
            biased;
            Some(refusal) = refusals.recv() => return agent_message::Payload::KeyRefusal(refusal),
            Ok(()) = metrics.changed() => {
                if let Some(batch) = metrics.borrow_and_update().as_deref() {
                    return agent_message::Payload::Metrics(batch.clone());
                }
            }
            Some(batch) = log.recv() => return agent_message::Payload::Logs(batch),
            // The session is over, and this future about to be dropped.
            else => std::future::pending().await,
        }
    }
}

/// What the master is told of at once when it changes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Turn {
    running: bool,
    problem: bool,
    silent: bool,
    held_back: bool,
    drained: bool,
    drift: Option<Drift>,
    health_turns: u64,
}

impl Turn {
    fn of(status: &AgentStatus) -> Self {
        Self {
            running: status.nginx.running,
            problem: status.nginx.problem.is_some(),
            silent: status.nginx.silent_since.is_some(),
            held_back: status.nginx.breaker.is_some(),
            drained: status.drained,
            health_turns: status.health_turns,
            drift: status.drift.clone(),
        }
    }
}

/// Waits until something of that is no longer what it was.
async fn turned(status: &mut watch::Receiver<AgentStatus>, known: &Turn, earliest: Instant) {
    tokio::time::sleep_until(earliest).await;
    let turned = status.wait_for(|status| Turn::of(status) != *known);
    if turned.await.is_err() {
        // The agent is at its end, and this future about to be dropped.
        std::future::pending::<()>().await;
    }
}

/// 10 % more or less, so that a fleet does not speak in chorus.
fn varied(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random_fraction())
}

/// Makes targets of updates; a newer update ends the work on an older one.
async fn resolve(
    connection: &Connection,
    credentials: &Credentials,
    mut updates: watch::Receiver<Option<Arc<ConfigUpdate>>>,
) -> Infallible {
    let exchange = &connection.exchange;
    loop {
        let Some(update) = updates.borrow_and_update().clone() else {
            wait_for_change(&mut updates).await;
            continue;
        };
        let accepted = exchange.accepted.borrow().clone();
        let fetch = |digest, size| connection.transport.fetch_bundle(credentials, digest, size);
        let resolved = tokio::select! {
            () = wait_for_change(&mut updates) => continue,
            resolved = update::resolve((*update).clone(), accepted, fetch) => resolved,
        };
        match resolved {
            Ok(target) => exchange.offer(target),
            Err(error) => {
                warn!(version = %update::version_of(&update), %error, "update refused");
                exchange
                    .outbox
                    .push_status(refusal(connection, &update, &error));
            }
        }
        wait_for_change(&mut updates).await;
    }
}

async fn wait_for_change(updates: &mut watch::Receiver<Option<Arc<ConfigUpdate>>>) {
    if updates.changed().await.is_err() {
        // The session is over, and this future about to be dropped.
        std::future::pending::<()>().await;
    }
}

fn refusal(
    connection: &Connection,
    update: &ConfigUpdate,
    error: &update::UpdateError,
) -> nxmesh_core::wire::ConfigStatus {
    let mut status = message::config_status(
        update::version_of(update),
        update.digest.clone(),
        ConfigPhase::Rejected,
        &connection.exchange.status.borrow(),
    );
    status.failure = Some(message::failure(&error.failure()));
    status
}

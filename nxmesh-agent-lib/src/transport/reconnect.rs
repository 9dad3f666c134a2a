//! Keeps a session with the master: opens it, and opens another when it ends.
//!
//! ```text
//! INIT ─► CONNECT ─► STREAM ─► READY
//!            ▲│         │         │
//!            │├─► RETRY └────┬────┘
//!            │└─► ERROR  RECONNECT
//!            └──────┴──────────┘  after a pause
//! ```
//!
//! Nothing outside sees a lost connection but in the status: what the master
//! wants is a value that stays, what it is to be told waits in the outbox.

use std::{sync::Arc, time::Duration};

use nxmesh_core::{
    contract::{
        clock::Clock,
        transport::{Credentials, Session, Transport, TransportError},
    },
    wire::RegistrationResponse,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    AutoTransport, Backoff, ConnectionSequence, Keepalive, Raised, aside,
    logs::LogSource,
    message::Introduction,
    session::{SessionEnd, converse, introduce},
};
use crate::{exchange::Exchange, keyring::Keyring, pins::Pins, status::ConnectionState};

/// How the agent keeps its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// Pauses between attempts. Default: 1 s to 60 s.
    pub backoff: Backoff,
    /// How often the agent tells its health unless the master says otherwise;
    /// up to 10 % more or less. Default: 30 s.
    pub heartbeat: Duration,
    /// How long the master may take to welcome the agent. Default: 30 s.
    pub welcome_timeout: Duration,
    /// A session that lasted so long was a good one: pauses begin anew. Default: 10 s.
    pub stable_after: Duration,
    /// How long an apply may take to its next phase or its end before the
    /// master is told how far it has come: a quick one only tells its outcome.
    /// Default: 500 ms.
    pub progress_after: Duration,
    /// So long without a session, and the agent tells how it is by single calls,
    /// once per heartbeat. Default: 90 s, when the master misses it.
    pub calls_after: Duration,
    /// Pings on a connection that is silent. Not used with a transport of your own.
    pub keepalive: Keepalive,
    /// Pauses between looks at gRPC while it does not get through to the master.
    /// Default: [`AutoTransport::PAUSES`].
    pub grpc_pauses: Backoff,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            heartbeat: Duration::from_secs(30),
            welcome_timeout: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
            progress_after: Duration::from_millis(500),
            calls_after: Duration::from_secs(90),
            keepalive: Keepalive::default(),
            grpc_pauses: AutoTransport::PAUSES,
        }
    }
}

/// The agent's connection, whatever session it has at the moment.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) keys: Keyring,
    pub(crate) options: ConnectionOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sequence: ConnectionSequence,
    pub(crate) introduction: Introduction,
    pub(crate) exchange: Arc<Exchange>,
    /// What the master may look at.
    pub(crate) log: Arc<dyn LogSource>,
    pub(crate) started: Instant,
    /// `None` with a transport of the embedder's own.
    pub(crate) pins: Option<Pins>,
}

impl Connection {
    /// Stays connected until `stop`, then says goodbye.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        tokio::select! {
            () = self.keep_connected(stop) => {}
            never = aside::tell(self) => match never {},
        }
    }

    async fn keep_connected(&self, stop: &CancellationToken) {
        let mut failures = 0;
        loop {
            let mut ready_since = None;
            let end = self.attempt(&mut ready_since, stop).await;
            if matches!(end, SessionEnd::Stopped) {
                return;
            }
            if matches!(end, SessionEnd::NewKey { is_news: true }) {
                // To use it is to answer, and the master waits for it.
                info!("the connection is opened anew with the key the master offered");
                continue;
            }
            let stable = ready_since
                .is_some_and(|since: Instant| since.elapsed() >= self.options.stable_after);
            failures = if stable { 1 } else { failures + 1 };
            let pause = self.note_end(&end, failures);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One session from its opening to its end.
    async fn attempt(
        &self,
        ready_since: &mut Option<Instant>,
        stop: &CancellationToken,
    ) -> SessionEnd {
        let opened = tokio::select! {
            () = stop.cancelled() => return SessionEnd::Stopped,
            opened = self.open() => opened,
        };
        let (session, welcome, credentials) = match opened {
            Ok(opened) => opened,
            Err(end) => return end,
        };
        *ready_since = Some(Instant::now());
        if welcome.key_id == credentials.key_id {
            self.keys.settle(&welcome.key_id).await;
        }
        if let Some(pins) = &self.pins {
            match pins.learn(&welcome.master_ca).await {
                Ok(true) => info!("the master's announced authorities are trusted from now on"),
                Ok(false) => {}
                Err(error) => {
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(%error, reason, "what the master announces is not trusted");
                }
            }
        }
        let transport = self.transport.backend();
        self.exchange.status.send_modify(|status| {
            status.connection.transport = Some(transport.to_owned());
        });
        self.note(ConnectionState::Ready);
        info!(transport, "connected to the master");
        converse(self, session, &welcome, &credentials, stop).await
    }

    async fn open(&self) -> Result<(Session, RegistrationResponse, Credentials), SessionEnd> {
        self.note(ConnectionState::Connect);
        let Raised { number, kept } = self.sequence.raise().await;
        if let Err(error) = &kept {
            warn!(%error, "the connection's number could not be stored; the time makes up for it");
        }
        let unkept = kept.err().map(|error| error.to_string());
        self.exchange.status.send_if_modified(|status| {
            let changed = status.connection.number_unkept != unkept;
            status.connection.number_unkept = unkept;
            changed
        });
        let connected = self.keys.using(|credentials| async move {
            let session = self.transport.connect(&credentials).await?;
            Ok((session, credentials))
        });
        let (session, credentials) = connected.await.map_err(SessionEnd::Transport)?;
        self.note(ConnectionState::Stream);
        let (session, welcome) = introduce(self, session, number).await?;
        self.sequence.welcomed();
        Ok((session, welcome, credentials))
    }

    fn note(&self, state: ConnectionState) {
        let now = self.clock.unix_millis();
        self.exchange.status.send_modify(|status| {
            status.note_connection(state, now);
            let connection = &mut status.connection;
            if state == ConnectionState::Ready {
                connection.failures = 0;
                connection.last_error = None;
            }
        });
    }

    /// Shows how a session ended and chooses the pause before the next.
    fn note_end(&self, end: &SessionEnd, failures: u32) -> Duration {
        let backoff = &self.options.backoff;
        let now = self.clock.unix_millis();
        let refused = matches!(end, SessionEnd::Transport(TransportError::Refused { .. }));
        let pause = if refused {
            // Asking soon again cannot help, but someone may put it right.
            backoff.cap / 2 + backoff.delay(u32::MAX) / 2
        } else {
            backoff.delay(failures)
        };
        let reason = end.reason();
        warn!(
            reason,
            failures,
            pause_ms = pause.as_millis(),
            "no connection to the master"
        );
        self.exchange.status.send_modify(|status| {
            let state = match status.connection.state {
                _ if refused => ConnectionState::Error,
                ConnectionState::Stream | ConnectionState::Ready => ConnectionState::Reconnect,
                _ => ConnectionState::Retry,
            };
            status.note_connection(state, now);
            let connection = &mut status.connection;
            connection.failures = failures;
            connection.last_error = Some(reason);
        });
        pause
    }
}

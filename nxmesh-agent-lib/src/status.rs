//! What an agent knows of itself, for whoever embeds or operates it.

use nxmesh_core::{
    digest::Digest,
    model::{AgentHealth, AgentId, ApplyFailure, Drift, Version},
};
use serde::{Deserialize, Serialize};

use crate::{apply::Server, health};

/// Where the connection to the master stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Not yet tried: the agent starts or has no identity yet.
    #[default]
    Init,
    /// The connection is being opened.
    Connect,
    /// The stream is open, the master has not welcomed the agent yet.
    Stream,
    /// The master knows the agent and sends it updates.
    Ready,
    /// The master was not reached; the next attempt follows a pause.
    Retry,
    /// The session was lost; the next attempt follows a pause.
    Reconnect,
    /// The master refuses the agent; it is asked again from time to time.
    Error,
}

/// The connection to the master.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Where it stands.
    pub state: ConnectionState,
    /// Since when there is a connection, or none, in Unix milliseconds: attempts
    /// that fail do not count.
    pub since: u64,
    /// What is spoken with the master, for example `grpc`; `None` before the
    /// first session.
    #[serde(default)]
    pub transport: Option<String>,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Why the last attempt or session failed; kept until one succeeds.
    pub last_error: Option<String>,
    /// Why the number of the newest connection could not be stored, as on a full disk;
    /// `None` once one could.
    #[serde(default)]
    pub number_unkept: Option<String>,
}

/// The nginx of the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NginxStatus {
    /// Whether it was seen running when last looked at.
    pub running: bool,
    /// The master process.
    pub master_pid: Option<u32>,
    /// Workers that accept connections.
    pub workers: usize,
    /// Workers of older generations that finish their last requests.
    pub draining: usize,
    /// Why it could not be brought up; gone once it is.
    pub problem: Option<String>,
    /// Since when its processes are there and do not answer, in Unix
    /// milliseconds.
    #[serde(default)]
    pub silent_since: Option<u64>,
    /// How often it was brought back since the agent started.
    #[serde(default)]
    pub restarts: u64,
    /// Set while restarts are held back, as there were too many.
    #[serde(default)]
    pub breaker: Option<BreakerStatus>,
}

impl NginxStatus {
    /// Notes that it answered; the rest follows with the next look.
    pub(crate) fn seen_serving(&mut self) {
        self.running = true;
        self.problem = None;
        self.silent_since = None;
    }
}

/// Restarts of nginx that are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerStatus {
    /// Since when, in Unix milliseconds.
    pub since: u64,
    /// Before this nginx is not restarted again, in Unix milliseconds.
    pub next_try: u64,
}

/// Everything an agent knows of itself. Never holds a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Its identity; `None` before the enrolment.
    pub agent_id: Option<AgentId>,
    /// Its process.
    pub pid: u32,
    /// When it started, in Unix milliseconds.
    pub started: u64,
    /// The connection to the master.
    pub connection: ConnectionStatus,
    /// Since when the master is away, in Unix milliseconds, and nginx is looked
    /// after without it; `None` while there is a connection, and before the first
    /// attempt has failed.
    #[serde(default)]
    pub island_since: Option<u64>,
    /// The newest version taken on.
    pub accepted: Option<Version>,
    /// The newest version nginx was seen serving.
    pub applied: Option<Version>,
    /// The digest of the slice of `applied`.
    pub applied_digest: Option<Digest>,
    /// The digest of the release on disk; `None` if it is damaged or there is none.
    pub running: Option<Digest>,
    /// Whether nginx was seen serving a version, fresh or cached, since the start.
    pub ready: bool,
    /// Whether new versions are not taken, since an operator said so.
    #[serde(default)]
    pub drained: bool,
    /// The nginx.
    pub nginx: NginxStatus,
    /// Servers of upstreams that nginx was seen serving without, as they failed their
    /// checks.
    #[serde(default)]
    pub marked_down: Vec<Server>,
    /// What was measured last.
    #[serde(default)]
    pub health: AgentHealth,
    /// How often a check changed its mind, or the certificates that are served changed.
    #[serde(default)]
    pub health_turns: u64,
    /// What the last reload could not do without dropping connections.
    #[serde(default)]
    pub disruptions: Vec<String>,
    /// The newest version that failed, and why; gone once a newer one is applied.
    pub failure: Option<ApplyFailure>,
    /// Set while files that nginx reads are not as they were written, or while
    /// nginx may serve what was changed in them.
    #[serde(default)]
    pub drift: Option<Drift>,
}

impl AgentStatus {
    /// The digest of the release that nginx serves, as far as is known: that of
    /// [`running`](Self::running), unless nginx is down, does not answer or was seen
    /// serving something else.
    #[must_use]
    pub fn serving(&self) -> Option<Digest> {
        let nginx = &self.nginx;
        let gone = self.ready && !nginx.running;
        let trouble = gone || nginx.problem.is_some() || nginx.silent_since.is_some();
        self.running.filter(|_| !trouble)
    }

    /// Shows which servers nginx was seen serving without.
    pub(crate) fn note_marked_down(&mut self, servers: Vec<Server>) {
        if self.marked_down == servers {
            return;
        }
        self.marked_down = servers;
        for check in &mut self.health.checks {
            let marked = |server: &Server| health::name_of(server) == check.name;
            check.marked_down = self.marked_down.iter().any(marked);
        }
        self.health_turns += 1;
    }

    /// Takes in where the connection stands `now`, in Unix milliseconds.
    pub(crate) fn note_connection(&mut self, state: ConnectionState, now: u64) {
        let connection = &mut self.connection;
        let is_ready = |state| state == ConnectionState::Ready;
        if is_ready(state) != is_ready(connection.state) || connection.since == 0 {
            connection.since = now;
        }
        connection.state = state;
        match state {
            ConnectionState::Ready => self.island_since = None,
            ConnectionState::Retry | ConnectionState::Reconnect | ConnectionState::Error => {
                self.island_since = Some(connection.since);
            }
            ConnectionState::Init | ConnectionState::Connect | ConnectionState::Stream => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectionState::*, *};

    #[test]
    fn an_island_counts_from_the_loss_and_not_from_the_last_attempt() {
        let mut status = AgentStatus::default();
        let mut told = |state, now| {
            status.note_connection(state, now);
            (status.connection.since, status.island_since)
        };
        // Away from the start.
        assert_eq!(told(Connect, 10), (10, None));
        assert_eq!(told(Retry, 20), (10, Some(10)));
        assert_eq!(told(Connect, 30), (10, Some(10)));
        assert_eq!(told(Stream, 40), (10, Some(10)));
        assert_eq!(told(Reconnect, 50), (10, Some(10)));
        assert_eq!(told(Error, 60), (10, Some(10)));
        assert_eq!(told(Connect, 70), (10, Some(10)));
        assert_eq!(told(Ready, 80), (80, None));
        // And lost.
        assert_eq!(told(Reconnect, 90), (90, Some(90)));
        assert_eq!(told(Connect, 100), (90, Some(90)));
        assert_eq!(told(Retry, 110), (90, Some(90)));
        assert_eq!(told(Ready, 120), (120, None));
    }
}

//! Who calls, proven by headers.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use http::HeaderMap;
use nxmesh_core::{
    model::AgentId,
    seal::{
        SessionKey,
        request::{MASTER_TIME, MAX_SKEW_MS, SignatureError, SignedHeaders},
    },
};
use tonic::Status;
use tracing::warn;

use crate::coordination::Fleet;

/// Calls of one agent that are remembered; more within the ten minutes in
/// which a call could be replayed are refused.
const MOST_CALLS: usize = 4096;

/// A caller that has the key of the agent it says it is.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) agent: AgentId,
    pub(super) key_id: String,
    pub(super) key: SessionKey,
    pub(super) nonce: String,
    timestamp: u64,
}

impl Caller {
    /// Checks the signature of a call of `method` with `body`.
    pub(super) fn prove(
        fleet: &Fleet,
        headers: &HeaderMap,
        method: &str,
        body: &[u8],
    ) -> Result<Self, Status> {
        let headers =
            SignedHeaders::read(|name| headers.get(name).and_then(|value| value.to_str().ok()))
                .map_err(|error| refuse(method, None, &error))?;
        let agent = &headers.agent_id;
        let Some(key) = fleet.session_key(agent, &headers.key_id) else {
            let key_id = &headers.key_id;
            warn!(%agent, key_id, method, "call refused: the agent or its key is not known");
            let why = match fleet.knows(agent) {
                true => format!(
                    "agent {agent} does not sign with key {key_id} any more: this is a copy of it, \
                     or was restored from a backup"
                ),
                false => format!("agent {agent} with key {key_id} is not enrolled here"),
            };
            return Err(Status::unauthenticated(format!(
                "{why}; to enrol it anew, remove the file identity from its state folder and start \
                 it with a new token"
            )));
        };
        headers
            .verify(&key, method, body)
            .map_err(|error| refuse(method, Some(agent), &error))?;
        Ok(Self {
            agent: headers.agent_id,
            key_id: headers.key_id,
            key,
            nonce: headers.nonce,
            timestamp: headers.timestamp,
        })
    }
}

fn refuse(method: &str, agent: Option<&AgentId>, error: &SignatureError) -> Status {
    warn!(agent = agent.map(AgentId::as_str), method, %error, "call refused");
    Status::unauthenticated(error.to_string())
}

/// The unary calls that were heard, so that none is heard twice.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<HashMap<AgentId, BTreeSet<(u64, String)>>>);

impl Heard {
    /// Takes a proven unary call in, unless it is old or was heard before.
    pub(super) fn admit(&self, caller: &Caller, now: u64, method: &str) -> Result<(), Status> {
        if caller.timestamp.abs_diff(now) > MAX_SKEW_MS {
            // Who has the key may know the time: it is no secret, and the
            // next call is proven and heard once like any other.
            let mut refusal = refuse(method, Some(&caller.agent), &SignatureError::Skewed);
            refusal.metadata_mut().insert(MASTER_TIME, now.into());
            return Err(refusal);
        }
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = heard.entry(caller.agent.clone()).or_default();
        // What is older would be refused for its timestamp.
        let oldest = now.saturating_sub(MAX_SKEW_MS);
        *calls = calls.split_off(&(oldest, String::new()));
        // So would what is newer, after the master's clock was set back.
        let newest = now.saturating_add(MAX_SKEW_MS).saturating_add(1);
        calls.split_off(&(newest, String::new()));
        if calls.len() >= MOST_CALLS {
            return Err(Status::resource_exhausted(
                "too many calls within ten minutes; use the stream",
            ));
        }
        if calls.insert((caller.timestamp, caller.nonce.clone())) {
            return Ok(());
        }
        warn!(agent = %caller.agent, method, "call refused: it was heard before");
        Err(Status::unauthenticated(
            "the call was heard before; a nonce is used once",
        ))
    }
}

//! How an agent comes to sign with another key, in two phases: a second key is
//! stored and offered to it, and once the agent was seen using that it becomes
//! the only one.
//!
//! The storage has each step before anybody acts on it, and both keys are taken
//! in between. So whatever is lost or killed on either side, the agent has a key
//! that is taken, and the offer goes on from where it was.

mod age;
mod offering;

use std::time::Duration;

use nxmesh_core::{
    api::{CommandKind, CommandState},
    contract::storage::{AgentKey, AgentKeys, NewAuditEntry, StorageError},
    model::AgentId,
    wire::KeyRefusal,
};
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Fleet, Session, agent::Agent, enrolment::new_key, facts::shown};
pub(super) use age::run;
pub(super) use offering::{OfferStep, Offering};

/// What an agent says it can that may be offered keys.
pub(super) const CAPABILITY: &str = "key.rotation";
/// How long an agent waits to be welcomed while its new key is stored.
const STORED_WITHIN: Duration = Duration::from_secs(5);
const REASON_CHARS: usize = 1000;

impl Fleet {
    /// Offers an agent another key, unless one is on offer already; only if that
    /// is `wanted` once it is this change's turn. Returns the id of the key made.
    pub(super) async fn offer_another_key(
        &self,
        id: &AgentId,
        wanted: impl FnOnce() -> bool + Send,
    ) -> Result<Option<String>, StorageError> {
        let _turn = self.0.changing_keys.lock().await;
        let Some(keys) = self.keys_of(id).filter(|_| wanted()) else {
            return Ok(None);
        };
        if keys.secondary.is_some() {
            self.offer_at_once(id);
            return Ok(None);
        }
        let next = new_key(self.clock().unix_millis());
        let next = next.ok_or_else(|| StorageError::Unavailable {
            backend: "agent key",
            action: "be made: the system has no randomness",
            source: "no randomness".into(),
        })?;
        let made = next.id.clone();
        let offered = AgentKeys {
            secondary: Some(next),
            ..keys.clone()
        };
        let keys = self.change_keys(id, &keys, offered).await?;
        Ok(keys.get(&made).map(|_| made.clone()))
    }

    /// Makes the key that a session of the agent was opened with its only one, if
    /// it is the one on offer. Returns the only key that is taken from it.
    async fn settle_key(&self, id: &AgentId, key_id: &str) -> Result<Option<String>, StorageError> {
        let only = |keys: AgentKeys| keys.secondary.is_none().then_some(keys.primary.id);
        let used = |keys: &AgentKeys| keys.secondary.clone().filter(|next| next.id == key_id);
        let keys = self.keys_of(id);
        if keys.as_ref().and_then(used).is_none() {
            return Ok(keys.and_then(only));
        }
        let _turn = self.0.changing_keys.lock().await;
        // Another session of it may have been quicker.
        let Some(keys) = self.keys_of(id) else {
            return Ok(None);
        };
        let Some(used) = used(&keys) else {
            return Ok(only(keys));
        };
        let retired = keys.primary.id.clone();
        let settled = AgentKeys {
            primary: AgentKey {
                since: self.clock().unix_millis(),
                ..used
            },
            secondary: None,
        };
        let keys = self.change_keys(id, &keys, settled).await?;
        if keys.primary.id == key_id {
            info!(agent = %id, key = key_id, retired, "the agent signs with its new key, the old one is refused");
            let message = format!("signs with key {key_id}; its old one, {retired}, is refused");
            if !self.settle_key_commands(id, CommandState::Done, &message) {
                let actor = format!("agent/{id}");
                self.audit_key(id, &actor, key_id, "done", &message);
            }
        }
        Ok(only(keys))
    }

    /// Takes a key back that no agent used in time.
    async fn withdraw_key(&self, id: &AgentId) -> Result<(), StorageError> {
        let _turn = self.0.changing_keys.lock().await;
        let Some(keys) = self.keys_of(id) else {
            return Ok(());
        };
        let Some(unused) = keys.secondary.clone() else {
            return Ok(());
        };
        let left = AgentKeys {
            secondary: None,
            ..keys.clone()
        };
        let keys = self.change_keys(id, &keys, left).await?;
        if keys.secondary.is_none() && keys.primary.id != unused.id {
            warn!(agent = %id, key = unused.id, "the agent did not use the key it was offered; it is taken back");
            let message =
                "the agent did not use the key it was offered, so it keeps the one it has";
            if !self.settle_key_commands(id, CommandState::Failed, message) {
                self.audit_key(id, "master", &unused.id, "expired", message);
            }
        }
        Ok(())
    }

    /// Stores other keys of an agent, then takes them. Returns what its keys are
    /// now: others, if somebody else has changed them.
    async fn change_keys(
        &self,
        id: &AgentId,
        expected: &AgentKeys,
        keys: AgentKeys,
    ) -> Result<AgentKeys, StorageError> {
        let mut unit = self.0.storage.begin().await?;
        let keys = match unit.agents().change_keys(id, expected, &keys).await {
            Ok(()) => {
                unit.commit().await?;
                keys
            }
            Err(conflict @ StorageError::Conflict { .. }) => {
                drop(unit);
                let mut unit = self.0.storage.read().await?;
                let found = unit.agents().get(id).await?;
                found.ok_or(conflict)?.keys
            }
            Err(error) => return Err(error),
        };
        if let Some(agent) = self.registry().get_mut(id) {
            agent.record.keys = keys.clone();
        }
        self.offer_at_once(id);
        Ok(keys)
    }

    /// Has the key on offer, if there is one, sent without a pause.
    fn offer_at_once(&self, id: &AgentId) {
        if let Some(agent) = self.registry().get_mut(id) {
            agent.key_offering = Offering::default();
            agent.wake();
        }
        self.changed();
    }

    fn keys_of(&self, id: &AgentId) -> Option<AgentKeys> {
        Some(self.registry().get(id)?.record.keys.clone())
    }

    /// Whether somebody asked for it.
    fn settle_key_commands(&self, id: &AgentId, state: CommandState, message: &str) -> bool {
        let unanswered = self.commands().unanswered(id, CommandKind::RotateKey);
        for command in &unanswered {
            self.settle(id, command, state, message);
        }
        !unanswered.is_empty()
    }

    fn audit_key(&self, id: &AgentId, actor: &str, key_id: &str, outcome: &str, detail: &str) {
        let workspace = self
            .registry()
            .get(id)
            .map(|it| it.record.workspace.clone());
        self.audit_later(NewAuditEntry {
            at: self.clock().unix_millis(),
            actor: actor.to_owned(),
            action: format!("agent:{}", CommandKind::RotateKey),
            workspace,
            subject: format!("agent/{id}"),
            act: key_id.to_owned(),
            outcome: outcome.to_owned(),
            detail: detail.to_owned(),
        });
    }

    fn agents_that(&self, mut which: impl FnMut(&Agent) -> bool) -> Vec<AgentId> {
        let registry = self.registry();
        let agents = registry.iter().filter(|agent| which(agent));
        agents.map(|agent| agent.record.id.clone()).collect()
    }
}

impl Session {
    /// The only key that is taken from the agent from now on: that of this session,
    /// if it is the one on offer. `None` while two are taken.
    pub(crate) async fn only_key(&self) -> Option<String> {
        let settled = self.fleet.settle_key(&self.agent, &self.key_id);
        match timeout(STORED_WITHIN, settled).await {
            Ok(Ok(only)) => only,
            Ok(Err(error)) => {
                warn!(agent = %self.agent, %error, "the agent's new key could not be stored as its only one; both are taken until it is");
                None
            }
            Err(_) => {
                warn!(agent = %self.agent, "the agent's new key was not stored as its only one in time; both are taken until it is");
                None
            }
        }
    }

    /// Takes in why the agent cannot use the key it was offered.
    pub(crate) fn key_refused(&self, refusal: &KeyRefusal) {
        let reason = shown(&refusal.reason, REASON_CHARS);
        let mut is_on_offer = false;
        self.told(|agent| {
            let next = agent.record.keys.secondary.as_ref();
            is_on_offer = next.is_some_and(|next| next.id == refusal.key_id);
            if is_on_offer {
                agent.key_offering.problem = Some(reason.clone());
            }
        });
        if is_on_offer {
            warn!(agent = %self.agent, reason, "the agent cannot use the key it was offered");
            let message =
                format!("the agent cannot use another key: {reason}; it is offered again later");
            let failed = CommandState::Failed;
            self.fleet
                .settle_key_commands(&self.agent, failed, &message);
        }
    }
}

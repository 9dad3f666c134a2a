//! The agents and what is known of them.

use std::fmt;

use async_trait::async_trait;

use super::StorageError;
use crate::{
    model::{AgentFacts, AgentId, Labels, value::WorkspaceName},
    seal::SessionKey,
};

/// A key an agent signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentKey {
    /// Names the key on the wire.
    pub id: String,
    /// The secret; rests encrypted.
    pub secret: SessionKey,
    /// Since when it is the agent's, or offered to it, in Unix milliseconds.
    pub since: u64,
}

/// The keys of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentKeys {
    /// The key in use.
    pub primary: AgentKey,
    /// The key offered in its place, as long as the agent was not seen using it.
    pub secondary: Option<AgentKey>,
}

impl AgentKeys {
    /// The key called `id`, if it is one of these.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&AgentKey> {
        let keys = std::iter::once(&self.primary).chain(&self.secondary);
        keys.into_iter().find(|key| key.id == id)
    }

    /// Checks that these are the `expected` keys, by their ids.
    ///
    /// # Errors
    ///
    /// [`StorageError::Conflict`] about `agent`
    pub fn verify(&self, agent: &AgentId, expected: &Self) -> Result<(), StorageError> {
        if self.ids() == expected.ids() {
            return Ok(());
        }
        Err(StorageError::Conflict {
            what: keys_of(agent),
            expected: expected.to_string(),
            found: self.to_string(),
        })
    }

    fn ids(&self) -> (&str, Option<&str>) {
        let secondary = self.secondary.as_ref().map(|key| key.id.as_str());
        (&self.primary.id, secondary)
    }
}

impl fmt::Display for AgentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ids() {
            (primary, None) => f.write_str(primary),
            (primary, Some(secondary)) => write!(f, "{primary} and {secondary}"),
        }
    }
}

/// What a [`StorageError::Conflict`] calls the keys of `agent`.
#[must_use]
pub fn keys_of(agent: &AgentId) -> String {
    format!("keys of agent/{agent}")
}

/// An enrolled agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its identity.
    pub id: AgentId,
    /// The workspace it serves.
    pub workspace: WorkspaceName,
    /// Made by the agent at its first start.
    pub install_id: String,
    /// As the agent tells.
    pub hostname: String,
    /// What selectors look at.
    pub labels: Labels,
    /// What it signs with.
    pub keys: AgentKeys,
    /// Unix milliseconds.
    pub enrolled_at: u64,
    /// Unix milliseconds of the last message; 0 before the first.
    pub last_seen_at: u64,
    /// The highest connection sequence seen; lower ones are fenced off.
    pub connection_sequence: u64,
    /// The boot id that came with it.
    pub boot_id: String,
    /// As the agent tells; empty until it connected.
    pub agent_version: String,
    /// As the agent tells; empty if unknown.
    pub nginx_version: String,
    /// Sent, staged, applied, running.
    pub facts: AgentFacts,
}

/// Which agents to list.
#[derive(Debug, Clone, Default)]
pub struct ListAgents {
    /// Of this workspace; `None`: of all.
    pub workspace: Option<WorkspaceName>,
    /// Those after this id.
    pub after: Option<AgentId>,
    /// At most this many; `None`: all.
    pub limit: Option<u32>,
}

/// The agents.
#[async_trait]
pub trait AgentStore: Send {
    /// Looks one up.
    async fn get(&mut self, id: &AgentId) -> Result<Option<AgentRecord>, StorageError>;

    /// Lists them by id.
    async fn list(&mut self, query: &ListAgents) -> Result<Vec<AgentRecord>, StorageError>;

    /// Adds one, or replaces all of it but its keys.
    async fn put(&mut self, agent: &AgentRecord) -> Result<(), StorageError>;

    /// Replaces the keys of one that has the `expected` keys.
    ///
    /// # Errors
    ///
    /// [`StorageError::Conflict`] if it has others or is not there; nothing is
    /// changed then.
    async fn change_keys(
        &mut self,
        id: &AgentId,
        expected: &AgentKeys,
        keys: &AgentKeys,
    ) -> Result<(), StorageError>;

    /// Forgets one; returns whether it was there.
    async fn remove(&mut self, id: &AgentId) -> Result<bool, StorageError>;
}

//! The agents and what is known of them.

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
    /// The key in use.
    pub key: AgentKey,
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

    /// Adds or replaces one.
    async fn put(&mut self, agent: &AgentRecord) -> Result<(), StorageError>;

    /// Forgets one; returns whether it was there.
    async fn remove(&mut self, id: &AgentId) -> Result<bool, StorageError>;
}

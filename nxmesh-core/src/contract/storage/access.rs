//! People and the tokens that admit agents.

use async_trait::async_trait;

use super::StorageError;
use crate::{
    digest::Digest,
    model::{
        AgentId, Labels,
        value::{UserName, WorkspaceName},
    },
};

/// A person who may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Unique.
    pub name: UserName,
    /// In the PHC string format (argon2id).
    pub password_hash: String,
    /// Unix milliseconds.
    pub created_at: u64,
}

/// A one-time token that admits one agent. Only its digest is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapToken {
    /// SHA-256 of the token.
    pub digest: Digest,
    /// The workspace it admits to.
    pub workspace: WorkspaceName,
    /// The labels the agent gets, over those it asks for.
    pub labels: Labels,
    /// Unix milliseconds.
    pub created_at: u64,
    /// Unix milliseconds; from then on it is refused.
    pub expires_at: u64,
    /// Who used it up, once someone has.
    pub used_by: Option<TokenOwner>,
}

/// The agent that a token admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// The install id it was used with.
    pub install_id: String,
    /// The identity given.
    pub agent: AgentId,
}

/// What became of an attempt to use a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenUse {
    /// The token is now used up by this install id, in this unit of work;
    /// `used_by` tells so.
    Fresh(BootstrapToken),
    /// The same install id used it before; give it the identity in `used_by` again.
    Again(BootstrapToken),
    /// Another install id used it before.
    UsedByAnother,
    /// Its time is over.
    Expired,
    /// There is no such token.
    Unknown,
}

/// Users and bootstrap tokens.
#[async_trait]
pub trait AccessStore: Send {
    /// Looks a user up.
    async fn user(&mut self, name: &UserName) -> Result<Option<User>, StorageError>;

    /// How many users there are.
    async fn user_count(&mut self) -> Result<u64, StorageError>;

    /// Adds or replaces a user.
    async fn put_user(&mut self, user: &User) -> Result<(), StorageError>;

    /// Adds a token.
    async fn add_token(&mut self, token: &BootstrapToken) -> Result<(), StorageError>;

    /// Tries to use a token at `now` (Unix milliseconds) for `owner` (clause 8
    /// of [`Storage`](super::Storage)). An expired token is `Expired` even to
    /// the install id that used it.
    async fn use_token(
        &mut self,
        digest: &Digest,
        owner: &TokenOwner,
        now: u64,
    ) -> Result<TokenUse, StorageError>;

    /// Removes tokens that expired before `now`; returns how many.
    async fn remove_expired_tokens(&mut self, now: u64) -> Result<u64, StorageError>;
}

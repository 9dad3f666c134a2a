//! The agents.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub workspace: String,
    pub install_id: String,
    pub hostname: String,
    /// Stored form.
    pub labels: String,
    pub key_id: String,
    /// Encrypted.
    pub key_secret: Vec<u8>,
    pub key_since: i64,
    pub next_key_id: Option<String>,
    /// Encrypted.
    pub next_key_secret: Option<Vec<u8>>,
    pub next_key_since: Option<i64>,
    pub enrolled_at: i64,
    pub last_seen_at: i64,
    /// The bits of an unsigned number.
    pub connection_sequence: i64,
    pub boot_id: String,
    pub agent_version: String,
    pub nginx_version: String,
    /// Stored form.
    pub facts: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

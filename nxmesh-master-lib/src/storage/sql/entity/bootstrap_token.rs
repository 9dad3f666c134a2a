//! The tokens that admit agents.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bootstrap_tokens")]
pub struct Model {
    /// 64 hexadecimal digits.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: String,
    pub workspace: String,
    /// Stored form.
    pub labels: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub used_by_install: Option<String>,
    pub used_by_agent: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

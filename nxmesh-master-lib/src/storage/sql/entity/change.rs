//! What each revision changed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "changes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Stored form; absent if the resource was not there.
    pub before_document: Option<String>,
    /// Encrypted.
    pub before_secret: Option<Vec<u8>>,
    /// Stored form; absent if the resource was removed.
    pub after_document: Option<String>,
    /// Encrypted.
    pub after_secret: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

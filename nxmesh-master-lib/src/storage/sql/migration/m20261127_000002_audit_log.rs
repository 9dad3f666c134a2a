//! The audit log.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, text, text_null},
    sea_query::{Index, Table},
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("audit_entries")
            .col(big_integer("number").primary_key())
            .col(big_integer("at"))
            .col(text("actor"))
            .col(text("action"))
            .col(text_null("workspace"))
            .col(text("subject"))
            .col(text("act"))
            .col(text("outcome"))
            .col(text("detail"))
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("audit_entries_by_workspace")
            .table("audit_entries")
            .col("workspace")
            .col("number")
            .to_owned();
        manager.create_index(index).await
    }
}

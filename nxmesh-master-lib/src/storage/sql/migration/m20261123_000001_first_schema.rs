//! Resources, their history, agents and access.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary, binary_null, integer, text, text_null},
    sea_query::{Index, Query, Table},
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            Table::create()
                .table("head")
                .col(integer("id").primary_key())
                .col(big_integer("epoch"))
                .col(big_integer("revision"))
                .to_owned(),
            Table::create()
                .table("resources")
                .col(text("workspace"))
                .col(text("kind"))
                .col(text("name"))
                .col(big_integer("revision"))
                .col(text("document"))
                .col(binary_null("secret"))
                .primary_key(Index::create().col("workspace").col("kind").col("name"))
                .to_owned(),
            Table::create()
                .table("revisions")
                .col(big_integer("number").primary_key())
                .col(big_integer("epoch"))
                .col(text("workspace"))
                .col(text("author"))
                .col(text("message"))
                .col(big_integer("at"))
                .to_owned(),
            Table::create()
                .table("changes")
                .col(big_integer("revision"))
                .col(text("kind"))
                .col(text("name"))
                .col(text_null("before_document"))
                .col(binary_null("before_secret"))
                .col(text_null("after_document"))
                .col(binary_null("after_secret"))
                .primary_key(Index::create().col("revision").col("kind").col("name"))
                .foreign_key(
                    ForeignKey::create()
                        .from("changes", "revision")
                        .to("revisions", "number"),
                )
                .to_owned(),
            Table::create()
                .table("agents")
                .col(text("id").primary_key())
                .col(text("workspace"))
                .col(text("install_id"))
                .col(text("hostname"))
                .col(text("labels"))
                .col(text("key_id"))
                .col(binary("key_secret"))
                .col(big_integer("enrolled_at"))
                .col(big_integer("last_seen_at"))
                .col(big_integer("connection_sequence"))
                .col(text("boot_id"))
                .col(text("agent_version"))
                .col(text("nginx_version"))
                .col(text("facts"))
                .to_owned(),
            Table::create()
                .table("users")
                .col(text("name").primary_key())
                .col(text("password_hash"))
                .col(big_integer("created_at"))
                .to_owned(),
            Table::create()
                .table("bootstrap_tokens")
                .col(text("digest").primary_key())
                .col(text("workspace"))
                .col(text("labels"))
                .col(big_integer("created_at"))
                .col(big_integer("expires_at"))
                .col(text_null("used_by_install"))
                .col(text_null("used_by_agent"))
                .to_owned(),
            Table::create()
                .table("key_check")
                .col(integer("id").primary_key())
                .col(binary("sealed"))
                .to_owned(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }
        for (name, table, columns) in [
            (
                "revisions_by_workspace",
                "revisions",
                ["workspace", "number"],
            ),
            ("agents_by_workspace", "agents", ["workspace", "id"]),
        ] {
            let mut index = Index::create().name(name).table(table).to_owned();
            for column in columns {
                index.col(column);
            }
            manager.create_index(index).await?;
        }
        let mut head = Query::insert();
        head.into_table("head")
            .columns(["id", "epoch", "revision"])
            .values([1.into(), 1.into(), 0.into()])
            .map_err(|error| DbErr::Migration(error.to_string()))?;
        manager.execute(head).await
    }
}

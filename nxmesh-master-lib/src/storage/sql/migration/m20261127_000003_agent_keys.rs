//! The key offered to an agent beside the one it has, and since when it has that.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, binary_null, text_null},
    sea_query::{Query, Table},
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            big_integer("key_since").default(0).to_owned(),
            text_null("next_key_id"),
            binary_null("next_key_secret"),
            big_integer_null("next_key_since"),
        ];
        // SQLite adds one at a time.
        for column in columns {
            let mut table = Table::alter();
            table.table("agents").add_column(column);
            manager.alter_table(table).await?;
        }
        // Until now an agent kept the key of its enrolment.
        let mut since = Query::update();
        since
            .table("agents")
            .value("key_since", Expr::col("enrolled_at"));
        manager.execute(since).await
    }
}

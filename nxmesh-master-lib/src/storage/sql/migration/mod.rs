//! The schema and its history.
//!
//! A migration that was released is never changed; a new one is added below.

mod m20261123_000001_first_schema;
mod m20261127_000002_audit_log;
mod m20261127_000003_agent_keys;

use nxmesh_core::contract::storage::StorageError;
use sea_orm::{DatabaseTransaction, EntityTrait as _};
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager, seaql_migrations};

use super::error::Backend;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_first_schema::Migration),
            Box::new(m20261127_000002_audit_log::Migration),
            Box::new(m20261127_000003_agent_keys::Migration),
        ]
    }
}

/// Brings the schema to this version's state, within `transaction`.
pub(super) async fn up(
    backend: Backend,
    transaction: &DatabaseTransaction,
) -> Result<(), StorageError> {
    refuse_newer(backend, transaction).await?;
    Migrator::up(transaction, None)
        .await
        .map_err(|error| backend.failed("migrate its schema", error))
}

/// A schema with migrations that this version does not know is a newer
/// version's; writing to it could lose what that version relies on.
async fn refuse_newer(
    backend: Backend,
    transaction: &DatabaseTransaction,
) -> Result<(), StorageError> {
    let failed = |error| backend.failed("look at its schema", error);
    let table = Migrator::migration_table_name().to_string();
    if !SchemaManager::new(transaction)
        .has_table(table)
        .await
        .map_err(failed)?
    {
        return Ok(());
    }
    let applied = seaql_migrations::Entity::find()
        .all(transaction)
        .await
        .map_err(failed)?;
    let known = Migrator::migrations();
    let unknown = applied.iter().find(|row| {
        known
            .iter()
            .all(|migration| migration.name() != row.version)
    });
    match unknown {
        None => Ok(()),
        Some(row) => Err(backend.corrupt(
            "a schema",
            format!(
                "a newer version of this program has been here (migration {}); start that one, or restore the backup from before it",
                row.version
            ),
        )),
    }
}

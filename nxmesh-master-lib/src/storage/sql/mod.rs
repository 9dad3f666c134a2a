//! The storage contract on SQL databases, through SeaORM.
//!
//! What differs between databases stands in one module per database
//! (`sqlite`); tables, migrations and stores are written for all of them. Texts
//! that order lists compare by bytes, as SQLite does by default.

mod access;
mod agents;
mod audit;
mod entity;
mod error;
mod migration;
mod number;
mod resources;
mod revisions;
mod sqlite;
mod stored_form;
mod unit;

use std::fmt;

use async_trait::async_trait;
use nxmesh_core::contract::storage::{Storage, StorageError, UnitOfWork};
use sea_orm::{
    ActiveValue::Set, DatabaseConnection, DatabaseTransaction, EntityTrait as _,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};
use tokio::runtime::Handle;

use self::{
    entity::key_check,
    error::Backend,
    unit::{Session, SqlUnit, Writes},
};
use super::AtRestKey;

/// The master's state in a SQL database, of which there is SQLite so far.
/// Clones share their connections.
///
/// - A commit is on disk when it returns: SQLite runs with a write-ahead log
///   and `synchronous = FULL`.
/// - Writers take turns, at most 30 s long; readers get snapshots of their
///   own and wait for nobody but the ninth reader for the first.
/// - A unit of work in which an operation failed (other than for a conflict)
///   or was cancelled half-way can no longer be used, only dropped.
/// - Private keys and session keys are encrypted with the [`AtRestKey`], each
///   bound to its row.
#[derive(Clone)]
pub struct SqlStorage {
    backend: Backend,
    key: AtRestKey,
    /// One connection: it is the writers' turn.
    writer: DatabaseConnection,
    readers: DatabaseConnection,
}

impl SqlStorage {
    /// Opens the database at `url`, for example
    /// `sqlite:///var/lib/nxmesh/nxmesh.db?mode=rwc`, and brings its schema up
    /// to date. The file gets mode 0600. Connections belong to the current
    /// tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StorageError::Unavailable`] when it cannot be opened,
    /// [`StorageError::Corrupt`] when it is damaged, was migrated by a newer
    /// version, or has secrets that `key` does not open.
    pub async fn connect(url: &str, key: &AtRestKey) -> Result<Self, StorageError> {
        let (writer, readers) = sqlite::open(url).await?;
        let storage = Self {
            backend: sqlite::BACKEND,
            key: key.clone(),
            writer,
            readers,
        };
        storage.prepare().await?;
        Ok(storage)
    }

    /// Waits for the units of work in progress to end, then closes every
    /// connection. From then on all operations fail.
    ///
    /// # Errors
    ///
    /// [`StorageError::Unavailable`]
    pub async fn close(self) -> Result<(), StorageError> {
        let failed = |error| self.backend.failed("close its connections", error);
        self.readers.close().await.map_err(failed)?;
        self.writer.close().await.map_err(failed)
    }

    /// Migrates, and makes sure that the key is the right one.
    async fn prepare(&self) -> Result<(), StorageError> {
        let transaction = self.transaction(Writes::Allowed).await?;
        migration::up(self.backend, &transaction).await?;
        self.check_key(&transaction).await?;
        transaction
            .commit()
            .await
            .map_err(|error| self.backend.failed("commit its migration", error))
    }

    async fn check_key(&self, transaction: &DatabaseTransaction) -> Result<(), StorageError> {
        const PLACE: &str = "key_check/1";
        let failed = |error| self.backend.failed("check its key", error);
        let row = key_check::Entity::find_by_id(1)
            .one(transaction)
            .await
            .map_err(failed)?;
        if let Some(row) = row {
            return match self.key.open(PLACE, &row.sealed) {
                Ok(_) => Ok(()),
                Err(_) => Err(self.backend.corrupt(
                    "secrets",
                    "they were encrypted with another key; start with the key file that belongs to this database",
                )),
            };
        }
        let sealed = self
            .key
            .seal(PLACE, b"")
            .map_err(|error| self.backend.unavailable("encrypt", error))?;
        let row = key_check::ActiveModel {
            id: Set(1),
            sealed: Set(sealed),
        };
        key_check::Entity::insert(row)
            .exec_without_returning(transaction)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn transaction(&self, writes: Writes) -> Result<DatabaseTransaction, StorageError> {
        let (connection, mode) = match writes {
            // Takes the write lock at once: a lock taken at the first write
            // could fail half-way, when another process has written meanwhile.
            Writes::Allowed => (&self.writer, SqliteTransactionMode::Immediate),
            Writes::Refused => (&self.readers, SqliteTransactionMode::Deferred),
        };
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(mode),
            ..TransactionOptions::default()
        };
        connection
            .begin_with_options(options)
            .await
            .map_err(|error| self.backend.failed("begin a unit of work", error))
    }

    async fn unit(&self, writes: Writes) -> Result<SqlUnit, StorageError> {
        const ACTION: &str = "begin a unit of work";
        let runtime =
            Handle::try_current().map_err(|error| self.backend.unavailable(ACTION, error))?;
        let transaction = self.transaction(writes).await?;
        let session = Session {
            backend: self.backend,
            key: self.key.clone(),
            transaction,
        };
        Ok(SqlUnit::new(session, writes, runtime))
    }
}

impl fmt::Debug for SqlStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStorage")
            .field("backend", &self.backend.0)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for SqlStorage {
    fn backend(&self) -> &'static str {
        self.backend.0
    }

    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        Ok(Box::new(self.unit(Writes::Allowed).await?))
    }

    async fn read(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        let mut unit = self.unit(Writes::Refused).await?;
        // SQLite takes the snapshot at the first read, not at BEGIN.
        unit.revisions().head().await?;
        Ok(Box::new(unit))
    }
}

#[cfg(test)]
mod tests;

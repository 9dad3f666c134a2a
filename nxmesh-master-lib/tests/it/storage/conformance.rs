//! The clauses of the contract.

use std::fs;

use async_trait::async_trait;
use nxmesh_core::testkit::storage::Rig;
use nxmesh_master_lib::storage::SqlStorage;

use super::Place;

struct OnSqlite(Place);

#[async_trait]
impl Rig for OnSqlite {
    type Subject = SqlStorage;

    async fn start() -> (Self, SqlStorage) {
        let place = Place::new();
        let storage = place.open().await;
        (Self(place), storage)
    }

    /// Opens a copy of the files as they are: with the storage still open they
    /// are what a dead process leaves behind.
    async fn reopen(&mut self, subject: SqlStorage) -> SqlStorage {
        let next = Place::new();
        for file in ["nxmesh.db", "nxmesh.db-wal"] {
            fs::copy(
                self.0.folder.path().join(file),
                next.folder.path().join(file),
            )
            .unwrap_or_else(|error| panic!("could not copy {file}: {error}"));
        }
        drop(subject);
        self.0 = next;
        self.0.open().await
    }
}

nxmesh_core::storage_conformance!(OnSqlite);

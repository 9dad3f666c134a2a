//! What can only be seen from inside, on the connections themselves.

use std::{path::Path, sync::Arc};

use nxmesh_core::{
    contract::storage::{Expected, ListResources, NewChange, NewRevision, Storage, StorageError},
    model::{Resource, value::WorkspaceName},
    testkit::sample,
};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};

use super::SqlStorage;
use crate::storage::AtRestKey;

fn revision(names: impl Iterator<Item = String>) -> NewRevision {
    let changes = names
        .map(|name| {
            let resource = Resource::from(sample::upstream(&name));
            NewChange {
                key: resource.key(),
                expected: Expected::Any,
                after: Some(Arc::new(resource)),
            }
        })
        .collect();
    NewRevision {
        workspace: WorkspaceName::default(),
        author: "ada".to_owned(),
        message: String::new(),
        at: 0,
        changes,
    }
}

fn one(name: &str) -> NewRevision {
    revision(std::iter::once(name.to_owned()))
}

async fn open(folder: &Path) -> SqlStorage {
    let url = format!("sqlite://{}/nxmesh.db?mode=rwc", folder.display());
    let key = AtRestKey::new([7; AtRestKey::BYTES]);
    SqlStorage::connect(&url, &key).await.unwrap()
}

async fn pragma(connection: &DatabaseConnection, name: &str) -> String {
    let statement = Statement::from_string(
        DbBackend::Sqlite,
        format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"),
    );
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// A commit is synced to disk before it returns, and readers cannot write.
#[tokio::test]
async fn connections_are_set_up_for_durability() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path()).await;
    assert_eq!(pragma(&storage.writer, "synchronous").await, "2");
    assert_eq!(pragma(&storage.writer, "journal_mode").await, "wal");
    assert_eq!(pragma(&storage.writer, "foreign_keys").await, "1");
    assert_eq!(pragma(&storage.readers, "query_only").await, "1");
    let refused = storage.readers.execute_unprepared("DELETE FROM head").await;
    assert!(refused.is_err(), "{refused:?}");
}

/// SQLite undoes the whole transaction when the disk is full; what the unit
/// does after that must not count.
#[tokio::test]
async fn a_unit_that_filled_the_disk_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path()).await;
    for round in 1..=3 {
        // Stands for the disk: this connection gets 50 pages and no more.
        storage
            .writer
            .execute_unprepared("PRAGMA max_page_count = 50")
            .await
            .unwrap();
        let mut unit = storage.begin().await.unwrap();
        unit.revisions().append(one("lost")).await.unwrap();
        let large = revision((0..2000).map(|number| format!("large-{number}")));
        let error = unit.revisions().append(large).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        let after = unit.revisions().append(one("after")).await;
        assert!(matches!(after, Err(StorageError::Unavailable { .. })));
        let committed = unit.commit().await;
        assert!(matches!(committed, Err(StorageError::Unavailable { .. })));

        // There is room again, on a connection that is not the old one.
        let mut unit = storage.begin().await.unwrap();
        let appended = unit.revisions().append(one("kept")).await.unwrap();
        assert_eq!(appended.version.revision, round);
        unit.commit().await.unwrap();
        assert_eq!(names(&storage).await, ["kept"]);
    }
}

async fn names(storage: &SqlStorage) -> Vec<String> {
    let all = ListResources {
        workspace: WorkspaceName::default(),
        kind: None,
        after: None,
        limit: None,
    };
    let mut unit = storage.read().await.unwrap();
    let resources = unit.resources().list(&all).await.unwrap();
    resources
        .iter()
        .map(|stored| stored.resource.metadata().name.to_string())
        .collect()
}

//! SQLite undoes the whole transaction when the disk is full; what the unit
//! does after that must not count.

use std::sync::Arc;

use nxmesh_core::{
    contract::storage::{Expected, ListResources, NewChange, NewRevision, Storage, StorageError},
    model::{Resource, value::WorkspaceName},
    testkit::sample,
};
use sea_orm::ConnectionTrait as _;

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

#[tokio::test]
async fn a_unit_that_filled_the_disk_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/nxmesh.db?mode=rwc", folder.path().display());
    let key = AtRestKey::new([7; AtRestKey::BYTES]);
    let storage = SqlStorage::connect(&url, &key).await.unwrap();

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

//! `SqlStorage` on SQLite files.

mod concurrency;
mod conformance;
mod damage;
mod durability;
mod kill;
mod schema;
mod secrets;
mod units;

use std::{path::Path, sync::Arc};

use nxmesh_core::{
    contract::storage::{
        Expected, ListRevisions, NewChange, NewRevision, Revision, Storage, StorageError,
    },
    model::{Resource, value::WorkspaceName},
    testkit::sample,
};
use nxmesh_master_lib::storage::{AtRestKey, SqlStorage};
use tempfile::TempDir;

/// A folder with a database in it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("make a folder"),
        }
    }

    fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("nxmesh.db")
    }

    fn key(&self) -> AtRestKey {
        AtRestKey::new([7; AtRestKey::BYTES])
    }

    async fn connect(&self) -> Result<SqlStorage, StorageError> {
        SqlStorage::connect(&url(&self.database()), &self.key()).await
    }

    async fn open(&self) -> SqlStorage {
        self.connect().await.expect("open the database")
    }

    /// Runs SQL beside the storage, as someone with a shell would.
    async fn run(&self, sql: &str) {
        use sea_orm::ConnectionTrait as _;
        let database = sea_orm::Database::connect(url(&self.database()))
            .await
            .expect("open the database beside the storage");
        database.execute_unprepared(sql).await.expect(sql);
        database.close().await.expect("close the database");
    }
}

fn url(database: &Path) -> String {
    format!("sqlite://{}?mode=rwc", database.display())
}

fn put(resource: impl Into<Resource>) -> NewChange {
    let resource = resource.into();
    NewChange {
        key: resource.key(),
        expected: Expected::Any,
        after: Some(Arc::new(resource)),
    }
}

fn revision(changes: Vec<NewChange>) -> NewRevision {
    NewRevision {
        workspace: WorkspaceName::default(),
        author: "ada".to_owned(),
        message: "because".to_owned(),
        at: 1_700_000_000_000,
        changes,
    }
}

/// A change set of one upstream.
fn small() -> NewRevision {
    revision(vec![put(sample::upstream("shop"))])
}

async fn append(storage: &SqlStorage, new: NewRevision) -> Result<Revision, StorageError> {
    let mut unit = storage.begin().await?;
    let revision = unit.revisions().append(new).await?;
    unit.commit().await?;
    Ok(revision)
}

async fn history(storage: &SqlStorage) -> Result<Vec<Revision>, StorageError> {
    let all = ListRevisions {
        workspace: None,
        after: 0,
        limit: u32::MAX,
    };
    storage.read().await?.revisions().list(&all).await
}

async fn head(storage: &SqlStorage) -> u64 {
    let mut unit = storage.read().await.expect("begin to read");
    unit.revisions()
        .head()
        .await
        .expect("read the head")
        .revision
}

/// An error with its causes, as a log shows it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

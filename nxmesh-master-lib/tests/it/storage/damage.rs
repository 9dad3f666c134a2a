//! Files and rows that are not what they should be.

use std::fs;

use nxmesh_core::{
    contract::storage::{ListResources, Storage, StorageError},
    model::value::WorkspaceName,
    testkit::sample,
};
use nxmesh_master_lib::storage::SqlStorage;

use super::{Place, append, chain, history, put, revision, small};

#[tokio::test]
async fn another_kind_of_file_is_called_corrupt() {
    let place = Place::new();
    fs::write(place.database(), "not a database\n".repeat(1000)).expect("write");
    let error = place.connect().await.expect_err("refused");
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("nxmesh.db"), "{text}");
    assert!(text.contains("not a database"), "{text}");
}

/// Damage in the middle of the file is found by whoever reads there.
#[tokio::test]
async fn a_damaged_page_is_called_corrupt() {
    let place = Place::new();
    let storage = place.open().await;
    let resources = sample::fleet(200);
    let changes = resources
        .iter()
        .map(|(_, it)| put((**it).clone()))
        .collect();
    append(&storage, revision(changes)).await.expect("append");
    storage.close().await.expect("close");
    let mut bytes = fs::read(place.database()).expect("read");
    let half = bytes.len() / 2;
    bytes[half..].fill(0xa5);
    fs::write(place.database(), bytes).expect("write");

    let error = match place.connect().await {
        Ok(storage) => history(&storage).await.expect_err("damage is found"),
        Err(error) => error,
    };
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_named() {
    let place = Place::new();
    let key = place.key();
    let missing = format!(
        "sqlite://{}/absent/nxmesh.db?mode=rwc",
        place.folder.path().display()
    );
    let absent = format!("sqlite://{}/absent.db", place.folder.path().display());
    let folder = format!("sqlite://{}?mode=rwc", place.folder.path().display());
    for (url, named) in [
        (missing.as_str(), "absent/nxmesh.db: No such file"),
        (&absent, "absent.db: No such file"),
        (&folder, "Is a directory"),
        (
            "postgres://localhost/nxmesh",
            "is not the URL of a database",
        ),
        ("sqlite::memory:", "name a file"),
        ("sqlite://x.db?mode=everything", "everything"),
        ("", "is not the URL of a database"),
    ] {
        let error = SqlStorage::connect(url, &key).await.expect_err(url);
        assert!(matches!(error, StorageError::Unavailable { .. }), "{error}");
        let text = chain(&error);
        assert!(text.contains(named), "{url:?}: {text}");
    }
    assert_eq!(fs::read_dir(place.folder.path()).expect("list").count(), 0);
}

/// Each of these is told with the row it is about, and nothing panics.
#[tokio::test]
async fn a_row_that_makes_no_sense_is_named() {
    for (sql, named) in [
        ("UPDATE resources SET document = '{'", "Upstream/shop"),
        (
            r#"UPDATE resources SET document = '{"form":9,"document":{}}'"#,
            "newer version",
        ),
        (
            "UPDATE resources SET document = replace(document, '8080', 'x')",
            "Upstream/shop",
        ),
        (
            "UPDATE resources SET document = replace(document, '\"shop\"', '\"blog\"')",
            "it says it is Upstream/blog",
        ),
        ("UPDATE resources SET revision = -1", "-1 is below zero"),
        ("UPDATE resources SET document = x'ff00'", "holds"),
        ("UPDATE resources SET workspace = 'No Such'", "No Such"),
        ("DELETE FROM head", "the head"),
        ("UPDATE agents SET facts = '[]'", "agent 0190f3a1"),
        ("UPDATE agents SET key_secret = x'01'", "agents/0190f3a1"),
        (
            "UPDATE agents SET next_key_secret = x'01'",
            "agents/0190f3a1",
        ),
        ("UPDATE agents SET next_key_id = NULL", "agent 0190f3a1"),
        ("UPDATE agents SET id = 'x'", "x"),
    ] {
        let place = Place::new();
        let storage = place.open().await;
        let mut unit = storage.begin().await.expect("begin");
        unit.revisions().append(small()).await.expect("append");
        unit.agents().put(&sample::agent(1)).await.expect("put");
        unit.commit().await.expect("commit");
        place.run(sql).await;
        let error = read_everything(&storage).await.expect_err(sql);
        assert!(matches!(error, StorageError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains(named), "{sql}: {error}");
    }
}

async fn read_everything(storage: &SqlStorage) -> Result<(), StorageError> {
    let mut unit = storage.read().await?;
    let all = ListResources {
        workspace: WorkspaceName::default(),
        kind: None,
        after: None,
        limit: None,
    };
    unit.resources().workspaces().await?;
    unit.resources().list(&all).await?;
    unit.agents().list(&Default::default()).await?;
    Ok(())
}

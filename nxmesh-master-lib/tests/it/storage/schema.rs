//! Migrations.

use nxmesh_core::{
    contract::storage::{AgentKeys, AgentRecord, Storage as _, StorageError},
    testkit::sample,
};

use super::{Place, append, head, history, small};

/// An empty file gets the schema; one that has it keeps what is in it.
#[tokio::test]
async fn the_schema_is_made_once() {
    let place = Place::new();
    let mut before = Vec::new();
    for number in 1..=3 {
        let storage = place.open().await;
        assert_eq!(head(&storage).await, number - 1);
        assert_eq!(history(&storage).await.expect("list"), before);
        before.push(append(&storage, small()).await.expect("append"));
        storage.close().await.expect("close");
    }
}

/// Those who open a new file at once do not migrate it twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_a_new_file_at_once() {
    let place = Place::new();
    let opened = futures_util::future::join_all((0..8).map(|_| place.connect())).await;
    for (number, storage) in (1..).zip(opened) {
        let storage = storage.expect("open the database");
        let appended = append(&storage, small()).await.expect("append");
        assert_eq!(appended.version.revision, number);
    }
}

/// An agent of the time when keys did not change has had its key since it enrolled.
#[tokio::test]
async fn agents_keep_their_key_when_keys_can_change() {
    let place = Place::new();
    let storage = place.open().await;
    let agent = sample::agent(1);
    let mut unit = storage.begin().await.expect("begin");
    unit.agents().put(&agent).await.expect("put");
    unit.commit().await.expect("commit");
    storage.close().await.expect("close");
    for column in [
        "key_since",
        "next_key_id",
        "next_key_secret",
        "next_key_since",
    ] {
        let sql = format!("ALTER TABLE agents DROP COLUMN {column}");
        place.run(&sql).await;
    }
    place
        .run("DELETE FROM seaql_migrations WHERE version LIKE '%agent_keys'")
        .await;
    let storage = place.open().await;
    let mut unit = storage.read().await.expect("read");
    let found = unit.agents().get(&agent.id).await.expect("get");
    let mut primary = agent.keys.primary.clone();
    primary.since = agent.enrolled_at;
    let expected = AgentRecord {
        keys: AgentKeys {
            primary,
            secondary: None,
        },
        ..agent
    };
    assert_eq!(found, Some(expected));
}

/// What a newer version has migrated is left alone.
#[tokio::test]
async fn a_newer_schema_is_refused() {
    let place = Place::new();
    place.open().await.close().await.expect("close");
    place
        .run("INSERT INTO seaql_migrations VALUES ('m20990101_000001_flying_cars', 0)")
        .await;
    let error = place.connect().await.expect_err("refused");
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("newer version"), "{text}");
    assert!(text.contains("m20990101_000001_flying_cars"), "{text}");
}

//! What rests on disk is encrypted.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nxmesh_core::{
    contract::storage::{Expected, NewChange, Storage, StorageError},
    model::{Resource, ResourceKey, ResourceKind, value::WorkspaceName},
    seal::SessionKey,
    testkit::sample,
};
use nxmesh_master_lib::storage::{AtRestKey, SqlStorage};

use super::{Place, append, chain, history, put, revision};

/// Random enough not to be found by chance.
const SESSION_KEY: &[u8; 32] = b"a session key of thirty-two byte";
const NEXT_KEY: &[u8; 32] = b"the other key, offered beside it";

/// Fills every place that a secret can get to: resources, both sides of the
/// history, agents; each of them written twice.
async fn fill(storage: &SqlStorage) {
    for certificate in [
        sample::certificate("shop"),
        sample::other_certificate("shop"),
    ] {
        append(storage, revision(vec![put(certificate)]))
            .await
            .expect("append");
    }
    append(storage, revision(vec![put(sample::certificate("blog"))]))
        .await
        .expect("append");
    let removal = NewChange {
        key: key("blog"),
        expected: Expected::Any,
        after: None,
    };
    append(storage, revision(vec![removal]))
        .await
        .expect("remove");
    for number in [1, 2, 1] {
        let mut agent = sample::agent(number);
        agent.keys.primary.secret = SessionKey::new(*SESSION_KEY);
        let next = agent.keys.secondary.as_mut().expect("a key on offer");
        next.secret = SessionKey::new(*NEXT_KEY);
        let mut unit = storage.begin().await.expect("begin");
        unit.agents().put(&agent).await.expect("put");
        unit.commit().await.expect("commit");
    }
}

fn key(name: &str) -> ResourceKey {
    ResourceKey {
        kind: ResourceKind::Certificate,
        name: name.parse().expect("a name"),
    }
}

/// The text between the PEM lines, line by line, and the bytes it stands for.
fn traces(pem: &str) -> Vec<Vec<u8>> {
    let lines: Vec<&str> = pem
        .lines()
        .filter(|line| !line.starts_with("---"))
        .collect();
    let der = STANDARD.decode(lines.concat()).expect("base64");
    let mut traces: Vec<Vec<u8>> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
    traces.extend(der.chunks_exact(16).map(<[u8]>::to_vec));
    traces
}

fn found_in(folder: &Path, trace: &[u8]) -> Vec<String> {
    fs::read_dir(folder)
        .expect("list the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let bytes = fs::read(path).expect("read a file");
            bytes.windows(trace.len()).any(|window| window == trace)
        })
        .map(|path| path.display().to_string())
        .collect()
}

#[tokio::test]
async fn no_secret_is_found_in_the_files() {
    let place = Place::new();
    let storage = place.open().await;
    fill(&storage).await;
    let look = || {
        for pem in [sample::SHOP_KEY, sample::BLOG_KEY] {
            for trace in traces(pem) {
                let found = found_in(place.folder.path(), &trace);
                assert_eq!(found, [""; 0], "{}", String::from_utf8_lossy(&trace));
            }
        }
        for key in [SESSION_KEY, NEXT_KEY] {
            let half = &key[..16];
            assert_eq!(found_in(place.folder.path(), half), [""; 0], "session key");
        }
        // What is public is there: the search finds what there is to find.
        let public = &traces(sample::SHOP_CERTIFICATE)[1];
        assert!(!found_in(place.folder.path(), public).is_empty());
    };
    look();
    storage.close().await.expect("close");
    look();
}

#[tokio::test]
async fn secrets_come_back() {
    let place = Place::new();
    fill(&place.open().await).await;
    let storage = place.open().await;
    let mut unit = storage.read().await.expect("begin to read");
    let found = unit
        .resources()
        .get(&WorkspaceName::default(), &key("shop"))
        .await;
    let shop = Resource::from(sample::certificate("shop"));
    let other = Resource::from(sample::other_certificate("shop"));
    assert_eq!(*found.expect("get").expect("a resource").resource, other);
    let changed = &history(&storage).await.expect("list")[1].changes[0];
    assert_eq!(changed.before.as_deref(), Some(&shop));
    assert_eq!(changed.after.as_deref(), Some(&other));
    let agent = unit.agents().get(&sample::agent_id(2)).await.expect("get");
    let keys = agent.expect("an agent").keys;
    assert_eq!(keys.primary.secret.expose(), SESSION_KEY);
    assert_eq!(keys.secondary.expect("a key").secret.expose(), NEXT_KEY);
}

#[tokio::test]
async fn another_key_is_refused_at_once() {
    let place = Place::new();
    place.open().await.close().await.expect("close");
    let other = AtRestKey::new([8; AtRestKey::BYTES]);
    let error = SqlStorage::connect(&super::url(&place.database()), &other)
        .await
        .expect_err("refused");
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    let text = chain(&error);
    assert!(text.contains("encrypted with another key"), "{text}");
    place.open().await;
}

/// A secret that is moved to another row, or removed, is found out.
#[tokio::test]
async fn a_secret_belongs_to_its_row() {
    for sql in [
        "UPDATE resources SET secret = (SELECT secret FROM resources WHERE name = 'blog')",
        "UPDATE resources SET secret = (SELECT after_secret FROM changes WHERE name = 'shop')",
        "UPDATE resources SET secret = NULL",
        "UPDATE resources SET revision = revision + 1",
    ] {
        let place = Place::new();
        let storage = place.open().await;
        let changes = vec![
            put(sample::certificate("shop")),
            put(sample::other_certificate("blog")),
        ];
        append(&storage, revision(changes)).await.expect("append");
        place.run(sql).await;
        let mut unit = storage.read().await.expect("begin to read");
        let found = unit
            .resources()
            .get(&WorkspaceName::default(), &key("shop"))
            .await;
        let error = found.expect_err(sql);
        assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("Certificate/shop"), "{sql}: {text}");
    }
}

#[tokio::test]
async fn passwords_and_keys_of_hosts_are_sealed_and_come_back() {
    const HASH: &str = "$apr1$5Gd0Y1Vj$FBeRSCQzhItn5L9gt9OnH0";
    const KEY: &str = "kZ3v9_pT-x81hQw2kZ3v9";
    let host = serde_json::json!({
        "kind": "VirtualHost",
        "metadata": { "name": "shop" },
        "spec": {
            "server_names": ["shop.example.com"],
            "basic_auth": { "users": { "list": [{ "name": "anna", "password_hash": HASH }] } },
            "locations": [{ "path": "/", "respond": { "status": 200 }, "api_keys": { "required": {
                "from": { "header": "X-Key" }, "list": [{ "name": "ci", "secret": KEY }],
            } } }],
        },
    });
    let host = nxmesh_core::document::parse_value("test", host).expect("a host");
    let place = Place::new();
    let storage = place.open().await;
    append(&storage, revision(vec![put(host.clone())]))
        .await
        .expect("append");
    storage.close().await.expect("close");
    for secret in [HASH, KEY] {
        let found = found_in(place.folder.path(), secret.as_bytes());
        assert_eq!(found, [""; 0], "{secret}");
    }
    let storage = place.open().await;
    let mut unit = storage.read().await.expect("read");
    let workspace = WorkspaceName::default();
    let stored = unit.resources().get(&workspace, &host.key()).await;
    let stored = stored.expect("found").expect("there");
    assert_eq!(*stored.resource, host);
}

//! A whole set at once.

use nxmesh_core::api::{ChangeKind, WriteResponse};

use super::{get, head, master, ok, post, problem, upstream};

#[tokio::test]
async fn a_set_becomes_one_revision_and_the_same_set_none() {
    let (_master, client) = master().await;
    let set = format!("{}---\n{}", upstream("a", 80), upstream("b", 80));
    let made: WriteResponse = ok(client.apply(set.clone()).await.unwrap()).json().unwrap();
    assert_eq!(made.version.unwrap().revision, 1);
    assert_eq!(made.changes.len(), 2);
    let again: WriteResponse = ok(client.apply(set).await.unwrap()).json().unwrap();
    assert_eq!(again.version, None);
    assert!(
        again
            .changes
            .iter()
            .all(|it| it.change == ChangeKind::Unchanged)
    );
    assert_eq!(head(&client).await, 1);
}

#[tokio::test]
async fn one_bad_document_fails_the_set_and_names_the_value() {
    let (_master, client) = master().await;
    let bad = upstream("b", 80).replace("10.0.0.1:80", "10.0.0.1");
    let answer = client
        .apply(format!("{}---\n{bad}", upstream("a", 80)))
        .await
        .unwrap();
    let found = problem(&answer, 422);
    assert_eq!(found.errors.len(), 1);
    let error = &found.errors[0];
    assert_eq!(error.document, "body#2 (Upstream/b)");
    assert_eq!(error.pointer, "/spec/servers/0/address");
    assert!(!error.rule.is_empty());
    assert_eq!(error.example, "10.0.0.11:8080");
    assert_eq!(head(&client).await, 0);
    problem(&get(&client, "upstreams/a").await, 404);
}

#[tokio::test]
async fn a_set_that_contradicts_itself_is_refused() {
    let (_master, client) = master().await;
    let host = "kind: VirtualHost\nmetadata: { name: shop }\nspec:\n  \
                server_names: [shop.example]\n  listen: [{ port: 80 }]\n  \
                locations: [{ path: /, proxy: { upstream: gone } }]\n";
    let found = problem(&client.apply(host).await.unwrap(), 422);
    assert_eq!(found.errors[0].pointer, "/spec/locations/0/proxy/upstream");
    let twice = format!("{}---\n{}", upstream("a", 80), upstream("a", 81));
    let found = problem(&client.apply(twice).await.unwrap(), 422);
    assert_eq!(found.errors[0].document, "Upstream/a");
    let unknown = upstream("a", 80).replace("spec: {", "spec: { colour: red,");
    problem(&client.apply(unknown).await.unwrap(), 422);
    assert_eq!(head(&client).await, 0);
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_stores_nothing() {
    let (_master, client) = master().await;
    let json = r#"{"kind":"Upstream","metadata":{"name":"a"},
                   "spec":{"servers":[{"address":"10.0.0.1:80"}]}}"#;
    let tried: WriteResponse = ok(post(&client, "apply?dry_run=true", json).await)
        .json()
        .unwrap();
    assert!(tried.dry_run);
    assert_eq!(tried.version, None);
    assert_eq!(tried.changes[0].change, ChangeKind::Created);
    assert_eq!(head(&client).await, 0);
    let made: WriteResponse = ok(post(&client, "apply?message=why", json).await)
        .json()
        .unwrap();
    assert!(!made.dry_run);
    let revision = ok(get(&client, "revisions/1").await).value().unwrap();
    assert_eq!(revision["message"], "why");
    assert_eq!(revision["author"], "admin");
}

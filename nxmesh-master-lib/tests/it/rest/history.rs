//! Revisions and undoing them.

use nxmesh_core::api::{ChangeKind, Page, RevisionView, RolloutView, WriteResponse};

use super::{get, head, master, ok, post, problem, upstream};

#[tokio::test]
async fn undo_brings_the_old_content_back_as_a_new_revision() {
    let (_master, client) = master().await;
    ok(client.apply(upstream("shop", 80)).await.unwrap());
    ok(client.apply(upstream("shop", 81)).await.unwrap());

    let tried: WriteResponse = ok(post(&client, "revisions/2/undo?dry_run=true", "").await)
        .json()
        .unwrap();
    assert!(tried.dry_run);
    assert_eq!(tried.changes[0].change, ChangeKind::Updated);
    assert_eq!(head(&client).await, 2);

    let undone: WriteResponse = ok(post(&client, "revisions/2/undo", "").await)
        .json()
        .unwrap();
    assert_eq!(undone.version.unwrap().revision, 3);
    let document = ok(get(&client, "upstreams/shop").await).value().unwrap();
    assert_eq!(document["spec"]["servers"][0]["address"], "10.0.0.1:80");

    // Revision 2 is no longer what is there.
    problem(&post(&client, "revisions/2/undo", "").await, 409);
    problem(&post(&client, "revisions/9/undo", "").await, 404);
}

#[tokio::test]
async fn undoing_a_creation_removes_what_was_made() {
    let (_master, client) = master().await;
    ok(client.apply(upstream("shop", 80)).await.unwrap());
    let undone: WriteResponse = ok(post(&client, "revisions/1/undo", "").await)
        .json()
        .unwrap();
    assert_eq!(undone.changes[0].change, ChangeKind::Deleted);
    problem(&get(&client, "upstreams/shop").await, 404);
}

#[tokio::test]
async fn the_history_comes_in_pages_without_documents() {
    let (_master, client) = master().await;
    for port in 1..=5 {
        ok(client.apply(upstream("shop", port)).await.unwrap());
    }
    let mut path = "revisions?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page: Page<RevisionView> = ok(get(&client, &path).await).json().unwrap();
        assert!(page.items.len() <= 2);
        for revision in &page.items {
            seen.push(revision.version.revision);
            assert!(
                revision
                    .changes
                    .iter()
                    .all(|it| it.before.is_none() && it.after.is_none())
            );
        }
        match page.next {
            Some(next) => path = format!("revisions?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    let page: Page<RevisionView> = ok(get(&client, "revisions?after=4").await).json().unwrap();
    assert_eq!(page.items.len(), 1);
    let one: RevisionView = ok(get(&client, "revisions/2").await).json().unwrap();
    assert_eq!(
        one.changes[0].before.as_ref().unwrap()["spec"]["servers"][0]["address"],
        "10.0.0.1:1"
    );
    assert_eq!(
        one.changes[0].after.as_ref().unwrap()["spec"]["servers"][0]["address"],
        "10.0.0.1:2"
    );
    // Another workspace has a history of its own.
    problem(
        &client
            .get("/api/v1/workspaces/other/revisions/2")
            .await
            .unwrap(),
        404,
    );
}

#[tokio::test]
async fn a_rollout_that_concerns_nobody_is_done() {
    let (_master, client) = master().await;
    ok(client.apply(upstream("shop", 80)).await.unwrap());
    // Right after the write it may not be known yet whom it concerns.
    let first: RolloutView = ok(get(&client, "rollouts/1").await).json().unwrap();
    let view: RolloutView =
        ok(get(&client, &format!("rollouts/1?wait=30&seen={}", first.tag)).await)
            .json()
            .unwrap();
    assert!(view.done, "{view:?}");
    assert!(view.agents.is_empty());
}

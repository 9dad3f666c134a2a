//! One resource at a time, with ETags.

use http::Method;
use nxmesh_core::api::{ChangeKind, WriteResponse};
use nxmesh_master_lib::testkit::{Answer, ApiClient};

use super::{WORKSPACE, get, head, master, ok, problem, put, upstream};

const SHOP: &str = "upstreams/shop";

async fn delete(client: &ApiClient, path: &str, headers: &[(&str, &str)]) -> Answer {
    let path = format!("{WORKSPACE}/{path}");
    client
        .send(Method::DELETE, &path, headers, "")
        .await
        .unwrap()
}

#[tokio::test]
async fn a_resource_is_made_changed_and_removed_by_its_etag() {
    let (_master, client) = master().await;
    let create = [("if-none-match", "*")];
    let made = ok(put(&client, SHOP, &create, &upstream("shop", 80)).await);
    assert_eq!(made.status, 201);
    assert_eq!(
        made.header("location"),
        "/api/v1/workspaces/default/upstreams/shop"
    );
    let first = made.header("etag").to_owned();
    assert_eq!(ok(get(&client, SHOP).await).header("etag"), first);

    let update = [("if-match", first.as_str())];
    let changed = ok(put(&client, SHOP, &update, &upstream("shop", 81)).await);
    assert_eq!(changed.status, 200);
    let response: WriteResponse = changed.json().unwrap();
    assert_eq!(response.changes[0].change, ChangeKind::Updated);
    let second = changed.header("etag").to_owned();
    assert_ne!(second, first);

    // Somebody else was faster.
    problem(
        &put(&client, SHOP, &update, &upstream("shop", 82)).await,
        412,
    );
    problem(&delete(&client, SHOP, &update).await, 412);
    let document = ok(get(&client, SHOP).await).value().unwrap();
    assert_eq!(document["spec"]["servers"][0]["address"], "10.0.0.1:81");

    ok(delete(&client, SHOP, &[("if-match", &second)]).await);
    problem(&get(&client, SHOP).await, 404);
    problem(&delete(&client, SHOP, &[("if-match", &second)]).await, 404);
}

#[tokio::test]
async fn what_is_there_is_not_changed_without_saying_which_state() {
    let (_master, client) = master().await;
    assert_eq!(
        put(&client, SHOP, &[], &upstream("shop", 80)).await.status,
        201
    );
    problem(&put(&client, SHOP, &[], &upstream("shop", 81)).await, 428);
    problem(&delete(&client, SHOP, &[]).await, 428);
    let create = [("if-none-match", "*")];
    problem(
        &put(&client, SHOP, &create, &upstream("shop", 81)).await,
        412,
    );
    problem(
        &put(
            &client,
            "upstreams/other",
            &[("if-match", "*")],
            &upstream("other", 80),
        )
        .await,
        412,
    );
    ok(put(&client, SHOP, &[("if-match", "*")], &upstream("shop", 82)).await);
    ok(put(
        &client,
        SHOP,
        &[("if-match", "\"7\", \"2\"")],
        &upstream("shop", 83),
    )
    .await);
    ok(delete(&client, SHOP, &[("if-match", "*")]).await);
}

#[tokio::test]
async fn of_two_that_change_the_same_state_one_succeeds() {
    let (_master, client) = master().await;
    ok(put(&client, SHOP, &[], &upstream("shop", 80)).await);
    let writers = (0..8_u16).map(|n| {
        let client = client.clone();
        tokio::spawn(async move {
            let body = upstream("shop", 1000 + n);
            put(&client, SHOP, &[("if-match", "\"1\"")], &body)
                .await
                .status
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut statuses = Vec::new();
    for writer in writers {
        statuses.push(writer.await.unwrap().as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
    assert_eq!(head(&client).await, 2);
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let (_master, client) = master().await;
    let tried = ok(put(
        &client,
        "upstreams/shop?dry_run=true",
        &[],
        &upstream("shop", 80),
    )
    .await);
    let tried: WriteResponse = tried.json().unwrap();
    assert!(tried.dry_run);
    assert_eq!(tried.version, None);
    assert_eq!(tried.changes[0].change, ChangeKind::Created);
    problem(&get(&client, SHOP).await, 404);

    ok(put(&client, SHOP, &[], &upstream("shop", 80)).await);
    let tried = delete(
        &client,
        "upstreams/shop?dry_run=true",
        &[("if-match", "\"1\"")],
    )
    .await;
    let tried: WriteResponse = ok(tried).json().unwrap();
    assert_eq!(tried.changes[0].change, ChangeKind::Deleted);
    ok(get(&client, SHOP).await);
    assert_eq!(head(&client).await, 1);
}

#[tokio::test]
async fn the_path_and_the_document_agree() {
    let (_master, client) = master().await;
    let pointer = |answer: Answer| problem(&answer, 422).errors[0].pointer.clone();
    let other = put(&client, SHOP, &[], &upstream("other", 80)).await;
    assert_eq!(pointer(other), "/metadata/name");
    let kind = put(&client, "virtual-hosts/shop", &[], &upstream("shop", 80)).await;
    assert_eq!(pointer(kind), "/kind");
    let elsewhere = upstream("shop", 80).replace("name: shop", "name: shop, workspace: prod");
    let elsewhere = put(&client, SHOP, &[], &elsewhere).await;
    assert_eq!(pointer(elsewhere), "/metadata/workspace");
    let two = format!("{}---\n{}", upstream("shop", 80), upstream("other", 80));
    problem(&put(&client, SHOP, &[], &two).await, 422);
    assert_eq!(head(&client).await, 0);
}

#[tokio::test]
async fn what_is_in_use_cannot_be_removed() {
    let (_master, client) = master().await;
    let host = "kind: VirtualHost\nmetadata: { name: shop }\nspec:\n  \
                server_names: [shop.example]\n  listen: [{ port: 80 }]\n  \
                locations: [{ path: /, proxy: { upstream: shop } }]\n";
    ok(client
        .apply(format!("{}---\n{host}", upstream("shop", 80)))
        .await
        .unwrap());
    let refused = delete(&client, SHOP, &[("if-match", "\"1\"")]).await;
    let found = problem(&refused, 422);
    let refusal = found.errors[0].to_string();
    assert!(refusal.contains("VirtualHost/shop"), "{refusal}");
    ok(get(&client, SHOP).await);
}

#[tokio::test]
async fn secrets_of_hosts_are_kept_and_not_shown() {
    let (_master, client) = master().await;
    let hash = "$apr1$5Gd0Y1Vj$FBeRSCQzhItn5L9gt9OnH0";
    let host = format!(
        "kind: VirtualHost\nmetadata: {{ name: a, labels: {{ secret: seen }} }}\nspec:\n  server_names: [a.test]\n  \
         basic_auth: {{ users: {{ list: [{{ name: anna, password_hash: \"{hash}\" }}] }} }}\n"
    );
    ok(put(&client, "virtual-hosts/a", &[], &host).await);
    let shown = ok(get(&client, "virtual-hosts/a").await);
    assert!(!shown.text().contains("apr1"), "{}", shown.text());
    assert!(shown.text().contains("seen"), "{}", shown.text());
    // What is stored is what was sent: the same again is no change.
    ok(client.apply(host.clone()).await.unwrap());
    assert_eq!(head(&client).await, 1);
    let hidden = client.apply(host.replace(hash, "***")).await.unwrap();
    let found = problem(&hidden, 422);
    let pointer = "/spec/basic_auth/users/list/0/password_hash";
    assert_eq!(found.errors[0].pointer, pointer);
}

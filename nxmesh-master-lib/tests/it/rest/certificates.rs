//! Private keys go in and never come out.

use rcgen::generate_simple_self_signed;

use super::{get, master, ok, post, problem, put};

/// A certificate document, and the part of its key that must not show.
fn certificate(name: &str) -> (String, String) {
    let made = generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let indented = |pem: &str| pem.trim_end().replace('\n', "\n    ");
    let key = made.signing_key.serialize_pem();
    let document = format!(
        "kind: Certificate\nmetadata: {{ name: {name} }}\nspec:\n  certificate: |\n    {}\n  \
         private_key: |\n    {}\n",
        indented(&made.cert.pem()),
        indented(&key)
    );
    let secret = key.lines().nth(1).unwrap()[8..40].to_owned();
    assert!(document.contains(&secret));
    (document, secret)
}

#[tokio::test]
async fn a_private_key_shows_in_no_answer() {
    let (_master, client) = master().await;
    let (first, one) = certificate("shop");
    let (second, two) = certificate("shop");
    let answers = [
        ok(post_yaml(&client, "apply?dry_run=true", &first).await),
        ok(client.apply(first).await.unwrap()),
        ok(put(
            &client,
            "certificates/shop",
            &[("if-match", "\"1\"")],
            &second,
        )
        .await),
        ok(get(&client, "certificates/shop").await),
        ok(get(&client, "certificates").await),
        ok(get(&client, "revisions").await),
        ok(get(&client, "revisions/1").await),
        ok(get(&client, "revisions/2").await),
        ok(post(&client, "revisions/2/undo?dry_run=true", "").await),
        ok(post(&client, "revisions/2/undo", "").await),
    ];
    for (index, answer) in answers.iter().enumerate() {
        let text = answer.text();
        assert!(
            !text.contains(&one) && !text.contains(&two),
            "answer {index}: {text}"
        );
        assert!(!text.contains("PRIVATE KEY"), "answer {index}: {text}");
    }
    let document = answers[3].value().unwrap();
    assert_eq!(document["spec"]["private_key"], "***");
    assert!(
        document["spec"]["certificate"]
            .as_str()
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
}

#[tokio::test]
async fn a_document_without_its_key_is_not_taken_back() {
    let (_master, client) = master().await;
    let (document, _) = certificate("shop");
    ok(client.apply(document).await.unwrap());
    let shown = ok(get(&client, "certificates/shop").await).text();
    let answer = put(
        &client,
        "certificates/shop",
        &[("if-match", "\"1\"")],
        &shown,
    )
    .await;
    let found = problem(&answer, 422);
    assert_eq!(found.errors[0].pointer, "/spec/private_key");
    assert!(
        found.errors[0].rule.contains("*** only stands for"),
        "{found:?}"
    );
    problem(&client.apply(shown).await.unwrap(), 422);
}

#[tokio::test]
async fn a_bad_document_with_a_key_does_not_echo_it() {
    let (_master, client) = master().await;
    let (document, secret) = certificate("shop");
    for bad in [
        document.replace("BEGIN CERTIFICATE", "BEGIN NOTHING"),
        document.replace("BEGIN PRIVATE", "BEGIN RATHER PRIVATE"),
        document.replace("kind: Certificate", "kind: Upstream"),
        document.replace("private_key:", "privat_key:"),
        document.replace("spec:", "spec: {"),
    ] {
        let text = client.apply(bad).await.unwrap();
        problem(&text, 422);
        assert!(!text.text().contains(&secret), "{}", text.text());
    }
}

async fn post_yaml(
    client: &nxmesh_master_lib::testkit::ApiClient,
    path: &str,
    body: &str,
) -> nxmesh_master_lib::testkit::Answer {
    let path = format!("{}/{path}", super::WORKSPACE);
    client
        .send(http::Method::POST, &path, &[super::YAML], body.to_owned())
        .await
        .unwrap()
}

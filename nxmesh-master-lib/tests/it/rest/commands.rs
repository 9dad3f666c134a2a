//! Commands over REST.

use super::{get, master, ok, post, problem};

const AGENT: &str = "agents/0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d";

#[tokio::test]
async fn bad_commands_are_refused_with_the_rule() {
    let (_master, client) = master().await;
    let path = format!("{AGENT}/commands");
    for (body, rule) in [
        (r#"{"kind":"explode"}"#, "rotate-key"),
        (r#"{"kind":"reload","timeout_seconds":0}"#, "1 to 600"),
        (r#"{"kind":"reload","timeout_seconds":601}"#, "1 to 600"),
        (r#"{"kind":"reload","when":"now"}"#, "when"),
        ("{}", "kind"),
    ] {
        let answer = post(&client, &path, body).await;
        problem(&answer, 422);
        assert!(answer.text().contains(rule), "{body}: {}", answer.text());
    }
    problem(
        &post(&client, &format!("{path}?wait=31"), r#"{"kind":"reload"}"#).await,
        400,
    );
    problem(&post(&client, &path, r#"{"kind":"reload"}"#).await, 404);
    let rotate = r#"{"kind":"rotate-key"}"#;
    problem(&post(&client, &path, rotate).await, 404);
    problem(&get(&client, &format!("{path}/x")).await, 404);
    problem(
        &post(&client, "agents/x/commands", r#"{"kind":"reload"}"#).await,
        400,
    );
}

#[tokio::test]
async fn the_audit_log_is_read_in_pages() {
    let (_master, client) = master().await;
    let log = ok(client.get("/api/v1/audit?limit=1").await.unwrap());
    assert_eq!(log.value().unwrap()["items"], serde_json::json!([]));
    for bad in [
        "limit=0",
        "limit=1001",
        "cursor=x",
        "since=1",
        "order=best",
        "workspace=A%20B",
    ] {
        problem(
            &client.get(&format!("/api/v1/audit?{bad}")).await.unwrap(),
            400,
        );
    }
}

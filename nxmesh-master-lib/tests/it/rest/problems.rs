//! Every error is a problem document.

use http::Method;

use super::{JSON, WORKSPACE, YAML, get, master, post, problem, put, upstream};

#[tokio::test]
async fn unknown_paths_methods_and_types_are_problems() {
    let (_master, client) = master().await;
    problem(&client.get("/api/v1/nothing").await.unwrap(), 404);
    problem(&get(&client, "toasters").await, 404);
    problem(&get(&client, "upstreams/missing").await, 404);
    problem(&get(&client, "revisions/7").await, 404);
    problem(&get(&client, "rollouts/7").await, 404);
    problem(
        &get(&client, "agents/0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d").await,
        404,
    );

    let answer = client.get(&format!("{WORKSPACE}/apply")).await.unwrap();
    problem(&answer, 405);
    assert_eq!(answer.header("allow"), "POST");

    let form = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("{WORKSPACE}/apply");
    let answer = client
        .send(Method::POST, &path, &form, "a=b")
        .await
        .unwrap();
    let detail = problem(&answer, 415).detail;
    assert!(detail.contains("application/yaml"), "{detail}");
}

#[tokio::test]
async fn bad_values_in_the_path_and_query_name_rule_and_example() {
    let (_master, client) = master().await;
    for (path, pointer, example) in [
        ("upstreams/Shop", "/name", "shop-backend"),
        ("upstreams?limit=0", "/limit", "100"),
        ("upstreams?limit=1001", "/limit", "100"),
        ("upstreams?cursor=***", "/cursor", "c2hvcA"),
        (
            "upstreams?selector=a%3D(b",
            "/selector",
            "env=prod,zone in (a,b),!canary",
        ),
        ("revisions/x", "/revision", "7"),
        ("revisions/0", "/revision", "7"),
        ("rollouts/1?wait=31", "/wait", "30"),
        ("agents/x", "/agent", "0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d"),
    ] {
        let found = problem(&get(&client, path).await, 400);
        assert_eq!(found.errors.len(), 1, "{path}: {found:?}");
        assert_eq!(found.errors[0].pointer, pointer, "{path}");
        assert_eq!(found.errors[0].example, example, "{path}");
    }
    problem(
        &client.get("/api/v1/workspaces/A%20B/agents").await.unwrap(),
        400,
    );
    problem(&get(&client, "upstreams?colour=red").await, 400);
    problem(&get(&client, "upstreams?limit=many").await, 400);
    problem(&post(&client, "apply?dry-run=true", "").await, 400);
    problem(&get(&client, "upstreams/%ff").await, 400);
}

#[tokio::test]
async fn bad_bodies_are_problems() {
    let (master, client) = master().await;
    for body in [
        "",
        "{",
        "[]",
        r#"{"username":1,"password":"x"}"#,
        r#"{"username":"x","password":271828}"#,
        r#""271828""#,
        r#"{"user":"x"}"#,
    ] {
        let answer = master
            .anonymous()
            .send(Method::POST, "/api/v1/auth/login", &[JSON], body)
            .await
            .unwrap();
        let found = problem(&answer, 422);
        let told = format!("{found:?}");
        assert!(!told.contains("271828"), "a secret is repeated: {told}");
    }
    for body in ["kind: [", "\u{0}", "just text", ""] {
        problem(&client.apply(body).await.unwrap(), 422);
    }
    let not_utf8 = client.apply(vec![0xff, 0xfe]).await.unwrap();
    problem(&not_utf8, 422);
    let short = post(&client, "agents/bootstrap-tokens", r#"{"ttl_seconds":59}"#).await;
    assert_eq!(problem(&short, 422).errors[0].pointer, "/ttl_seconds");
    problem(
        &post(&client, "agents/bootstrap-tokens?dry_run=true", "{}").await,
        400,
    );
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let (master, client) = master().await;
    let padding = "#".repeat(16 << 20);
    problem(
        &client
            .apply(format!("{}{padding}", upstream("shop", 80)))
            .await
            .unwrap(),
        413,
    );
    // Strangers get less room.
    let body = format!(
        r#"{{"username":"admin","password":"{}"}}"#,
        "x".repeat(20 << 10)
    );
    let answer = master
        .anonymous()
        .send(Method::POST, "/api/v1/auth/login", &[JSON], body)
        .await
        .unwrap();
    problem(&answer, 413);
}

#[tokio::test]
async fn preconditions_that_make_no_sense_are_refused() {
    let (_master, client) = master().await;
    let both = [("if-match", "\"1\""), ("if-none-match", "*")];
    problem(
        &put(&client, "upstreams/shop", &both, &upstream("shop", 80)).await,
        400,
    );
    let tag = [("if-none-match", "\"1\"")];
    problem(
        &put(&client, "upstreams/shop", &tag, &upstream("shop", 80)).await,
        400,
    );
}

#[tokio::test]
async fn answers_carry_security_headers() {
    let (_master, client) = master().await;
    for path in ["/livez", "/api/v1/nothing"] {
        let answer = client.send(Method::GET, path, &[YAML], "").await.unwrap();
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("access-control-allow-origin"), "");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
    }
}

#[tokio::test]
async fn texts_made_to_exhaust_the_master_are_refused() {
    let (master, client) = master().await;
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let alias = format!("*a{}", n - 1);
        let aliases = [alias.as_str(); 10].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    problem(&client.apply(laughs).await.unwrap(), 422);
    for deep in ["[", "{a: ", "- "] {
        problem(&client.apply(deep.repeat(200_000)).await.unwrap(), 422);
    }
    let deep = "[".repeat(10_000);
    let answer = master
        .anonymous()
        .send(Method::POST, "/api/v1/auth/login", &[JSON], deep)
        .await
        .unwrap();
    problem(&answer, 422);
    assert_eq!(client.get("/livez").await.unwrap().text(), "ok\n");
}

#[tokio::test]
async fn messages_are_one_short_line() {
    let (_master, client) = master().await;
    let body = r#"{"kind":"Upstream","metadata":{"name":"a"},"spec":{"servers":[{"address":"10.0.0.1:80"}]}}"#;
    let long = "x".repeat(1001);
    for message in ["a%0ab", "%1b%5b2J", long.as_str()] {
        let answer = post(&client, &format!("apply?message={message}"), body).await;
        assert_eq!(problem(&answer, 400).errors[0].pointer, "/message");
    }
    problem(&get(&client, "upstreams/a").await, 404);
}

//! Logging in.

use http::Method;
use nxmesh_master_lib::testkit::{ADMIN, Answer, ApiClient, PASSWORD, TestMaster};
use serde_json::{Value, json};

use super::{JSON, ok, problem};

async fn log_in(client: &ApiClient, name: &str, password: &str) -> Answer {
    let body = json!({ "username": name, "password": password }).to_string();
    client
        .send(Method::POST, "/api/v1/auth/login", &[JSON], body)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_right_password_gives_a_token_that_opens_the_api() {
    let master = TestMaster::start().await.unwrap();
    let answer = ok(log_in(&master.anonymous(), ADMIN, PASSWORD).await);
    assert_eq!(answer.header("cache-control"), "no-store");
    let response = answer.value().unwrap();
    assert_eq!(response["token_type"], "Bearer");
    assert_eq!(response["expires_in"], 900);
    let client = master
        .anonymous()
        .with_token(response["access_token"].as_str().unwrap());
    ok(client
        .get("/api/v1/workspaces/default/agents")
        .await
        .unwrap());
}

#[tokio::test]
async fn wrong_passwords_and_unknown_users_get_the_same_answer() {
    let master = TestMaster::start().await.unwrap();
    let anonymous = master.anonymous();
    let mut details = Vec::new();
    for (name, password) in [
        (ADMIN, "wrong password"),
        (ADMIN, ""),
        ("nobody", PASSWORD),
        ("no user name: '\"<>\n", PASSWORD),
    ] {
        let answer = log_in(&anonymous, name, password).await;
        details.push(problem(&answer, 401).detail);
    }
    details.dedup();
    assert_eq!(details, ["the user name or the password is wrong"]);
}

#[tokio::test]
async fn repeated_failures_lock_even_the_right_password_out() {
    let master = TestMaster::start().await.unwrap();
    let anonymous = master.anonymous();
    for _ in 0..5 {
        problem(&log_in(&anonymous, ADMIN, "wrong password").await, 401);
    }
    let answer = log_in(&anonymous, ADMIN, PASSWORD).await;
    problem(&answer, 429);
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
}

#[tokio::test]
async fn guesses_made_at_once_do_not_slip_through_together() {
    let master = TestMaster::start().await.unwrap();
    let guesses = (0..30).map(|_| {
        let anonymous = master.anonymous();
        tokio::spawn(async move { log_in(&anonymous, ADMIN, "wrong password").await })
    });
    let guesses: Vec<_> = guesses.collect();
    let mut checked = 0;
    for guess in guesses {
        checked += usize::from(guess.await.unwrap().status == 401);
    }
    assert_eq!(checked, 5);
}

#[tokio::test]
async fn a_token_verifies_with_the_published_key() {
    let master = TestMaster::start().await.unwrap();
    let client = master.client().await.unwrap();
    let keys = ok(client.get("/.well-known/jwks.json").await.unwrap());
    let keys: jsonwebtoken::jwk::JwkSet = keys.json().unwrap();
    let token = client.token().unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.alg, jsonwebtoken::Algorithm::RS256);
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(header.alg);
    validation.set_audience(&["nxmesh-api"]);
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation)
        .unwrap()
        .claims;
    assert_eq!(claims["sub"], ADMIN);
    assert_eq!(claims["role"], "admin");
}

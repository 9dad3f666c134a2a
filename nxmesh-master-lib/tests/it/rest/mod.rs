//! The REST interface over real sockets.

mod access;
mod apply;
mod authentication;
mod certificates;
mod commands;
mod history;
mod lifecycle;
mod lists;
mod plan;
mod probes;
mod problems;
mod resources;

use http::Method;
use nxmesh_core::api::ProblemDetails;
use nxmesh_master_lib::testkit::{Answer, ApiClient, TestMaster};

pub(crate) const WORKSPACE: &str = "/api/v1/workspaces/default";
pub(crate) const YAML: (&str, &str) = ("content-type", "application/yaml");
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// A running master and its administrator.
pub(crate) async fn master() -> (TestMaster, ApiClient) {
    let master = TestMaster::start().await.unwrap();
    let client = master.client().await.unwrap();
    (master, client)
}

/// An upstream with one server on `port`.
pub(crate) fn upstream(name: &str, port: u16) -> String {
    format!(
        "kind: Upstream\nmetadata: {{ name: {name}, labels: {{ port: \"{port}\" }} }}\n\
         spec: {{ servers: [{{ address: \"10.0.0.1:{port}\" }}] }}\n"
    )
}

pub(crate) async fn put(
    client: &ApiClient,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut all = vec![YAML];
    all.extend_from_slice(headers);
    let path = format!("{WORKSPACE}/{path}");
    client
        .send(Method::PUT, &path, &all, body.to_owned())
        .await
        .unwrap()
}

pub(crate) async fn get(client: &ApiClient, path: &str) -> Answer {
    client.get(&format!("{WORKSPACE}/{path}")).await.unwrap()
}

pub(crate) async fn post(client: &ApiClient, path: &str, body: &str) -> Answer {
    let path = format!("{WORKSPACE}/{path}");
    client
        .send(Method::POST, &path, &[JSON], body.to_owned())
        .await
        .unwrap()
}

/// Takes an answer for a problem with this status.
#[track_caller]
pub(crate) fn problem(answer: &Answer, status: u16) -> ProblemDetails {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem: ProblemDetails = answer.json().unwrap();
    assert_eq!(problem.status, status);
    assert_eq!(problem.code, format!("NX-API-{status}"));
    assert!(
        problem.kind.starts_with("urn:nxmesh:problem:"),
        "{problem:?}"
    );
    assert!(!problem.title.is_empty());
    assert_eq!(
        problem.instance,
        format!("urn:uuid:{}", answer.header("x-request-id"))
    );
    problem
}

/// Takes an answer for a success.
#[track_caller]
pub(crate) fn ok(answer: Answer) -> Answer {
    assert!(
        answer.status.is_success(),
        "{}: {}",
        answer.status,
        answer.text()
    );
    answer
}

/// The newest revision.
pub(crate) async fn head(client: &ApiClient) -> u64 {
    let page = ok(get(client, "revisions?limit=1000").await)
        .value()
        .unwrap();
    page["items"]
        .as_array()
        .unwrap()
        .last()
        .map_or(0, |revision| {
            revision["version"]["revision"].as_u64().unwrap()
        })
}

//! Health and metrics.

use super::{get, master, ok, problem, upstream};

#[tokio::test]
async fn a_running_master_is_alive_and_ready() {
    let (master, _) = master().await;
    let anonymous = master.anonymous();
    assert_eq!(ok(anonymous.get("/livez").await.unwrap()).text(), "ok\n");
    assert_eq!(ok(anonymous.get("/readyz").await.unwrap()).text(), "ok\n");
    let verbose = ok(anonymous.get("/readyz?verbose").await.unwrap()).text();
    assert!(verbose.contains("storage: ok"), "{verbose}");
    let version = ok(anonymous.get("/version").await.unwrap())
        .value()
        .unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn metrics_are_in_the_prometheus_format_and_bounded() {
    let (_master, client) = master().await;
    ok(client.apply(upstream("shop", 80)).await.unwrap());
    for n in 0..20 {
        problem(&get(&client, &format!("upstreams/missing{n}")).await, 404);
        problem(&client.get(&format!("/nowhere/{n}")).await.unwrap(), 404);
    }
    let text = ok(client.get("/metrics").await.unwrap()).text();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("nxmesh_master_"), "{line}");
        value
            .parse::<f64>()
            .unwrap_or_else(|_| panic!("not a number: {line}"));
    }
    assert!(
        text.contains(
            "nxmesh_master_http_requests_total{method=\"GET\",\
         route=\"/api/v1/workspaces/{workspace}/{kind}/{name}\",status=\"404\"} 20"
        ),
        "{text}"
    );
    assert!(
        !text.contains("missing1") && !text.contains("nowhere"),
        "{text}"
    );
    assert!(
        text.contains("nxmesh_master_agents{state=\"connected\"} 0"),
        "{text}"
    );
}

#[tokio::test]
async fn schemas_are_open_to_everyone() {
    let (master, _) = master().await;
    let anonymous = master.anonymous();
    let answer = anonymous
        .get("/api/v1/schemas/virtual-hosts")
        .await
        .unwrap();
    let schema = ok(answer).value().unwrap();
    assert_eq!(schema["properties"]["kind"]["const"], "VirtualHost");
    problem(
        &anonymous.get("/api/v1/schemas/nothing").await.unwrap(),
        404,
    );
}

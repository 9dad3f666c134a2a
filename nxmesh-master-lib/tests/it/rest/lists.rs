//! Lists of resources and agents.

use nxmesh_core::api::{AgentView, BootstrapTokenResponse, Page};
use serde_json::Value;

use super::{get, master, ok, post, upstream};

async fn names(client: &nxmesh_master_lib::testkit::ApiClient, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("upstreams?{query}{cursor}");
        let page: Page<Value> = ok(get(client, &path).await).json().unwrap();
        let names = page
            .items
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap());
        pages.push(names.map(str::to_owned).collect());
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let (_master, client) = master().await;
    let set: Vec<_> = (1..=5).map(|n| upstream(&format!("u{n}"), n)).collect();
    ok(client.apply(set.join("---\n")).await.unwrap());
    assert_eq!(
        names(&client, "limit=2").await,
        [vec!["u1", "u2"], vec!["u3", "u4"], vec!["u5"]]
    );
    assert_eq!(
        names(&client, "limit=5").await,
        [["u1", "u2", "u3", "u4", "u5"]]
    );
    assert_eq!(
        names(&client, "limit=1&selector=port%20in%20(2,4)").await,
        [["u2"], ["u4"]]
    );
    assert_eq!(
        names(&client, "selector=port%3D9").await,
        [Vec::<String>::new()]
    );
    let hosts: Page<Value> = ok(get(&client, "virtual-hosts").await).json().unwrap();
    assert!(hosts.items.is_empty());
}

#[tokio::test]
async fn agents_are_listed_and_tokens_made() {
    let (master, client) = master().await;
    let page: Page<AgentView> = ok(get(&client, "agents").await).json().unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    let answer = ok(post(
        &client,
        "agents/bootstrap-tokens",
        r#"{"labels":{"env":"prod"}}"#,
    )
    .await);
    assert_eq!(answer.status, 201);
    let token: BootstrapTokenResponse = answer.json().unwrap();
    assert!(token.token.len() >= 32);
    assert_eq!(token.ca_pem, master.ca_pem());
    assert_eq!(token.master_url, master.addresses().agent_url);
}

//! What a write would do to the files of nginx.

use nxmesh_core::api::{ChangeKind, PlanResponse};

use super::{head, master, ok, post, problem};

fn site(answer: &str) -> String {
    format!(
        r#"{{"kind":"VirtualHost","metadata":{{"name":"site"}},"spec":{{
            "server_names":["site.test"],
            "locations":[{{"path":"/","respond":{{"status":200,"body":"{answer}"}}}}]}}}}"#
    )
}

#[tokio::test]
async fn a_plan_shows_the_files_before_and_after_and_stores_nothing() {
    let (_master, client) = master().await;
    let plan = |path: &'static str, text: String| {
        let client = &client;
        async move {
            let answer = ok(post(client, path, &text).await);
            answer.json::<PlanResponse>().unwrap()
        }
    };
    let first = plan("plan", site("one")).await;
    assert_eq!((first.files.len(), first.unchanged), (1, 0));
    assert_eq!(first.nginx_version, "1.18.0");
    let file = &first.files[0];
    assert_eq!(file.change, ChangeKind::Created);
    assert_eq!(
        file.resource.as_ref().unwrap().to_string(),
        "VirtualHost/site"
    );
    assert_eq!(file.before, None);
    assert!(file.after.as_ref().unwrap().contains("return 200 one;"));
    assert_eq!(head(&client).await, 0);

    ok(post(&client, "apply", &site("one")).await);
    let same = plan("plan", site("one")).await;
    assert_eq!((same.files.len(), same.unchanged), (0, 1));
    let other = plan("plan", site("two")).await;
    let file = &other.files[0];
    assert_eq!(file.change, ChangeKind::Updated);
    assert!(file.before.as_ref().unwrap().contains("return 200 one;"));
    assert!(file.after.as_ref().unwrap().contains("return 200 two;"));
    assert_eq!(head(&client).await, 1);
}

#[tokio::test]
async fn a_template_shows_in_the_files_of_all_that_use_it() {
    let (_master, client) = master().await;
    ok(post(&client, "apply", &site("one")).await);
    let template = r#"{"kind":"Template","metadata":{"name":"answer"},
        "spec":{"source":"{{#with respond}}return 418{{#if body}} {{body}}{{/if}};{{/with}}"}}"#;
    let answer = ok(post(&client, "plan", template).await);
    let plan: PlanResponse = answer.json().unwrap();
    let after = plan.files[0].after.as_ref().unwrap();
    assert!(after.contains("return 418 one;"), "{after}");
    let broken = template.replace("{{/with}}", "");
    let found = problem(&post(&client, "plan", &broken).await, 422);
    assert_eq!(found.errors[0].pointer, "/spec/source");
    assert!(
        found.errors[0].rule.contains("line"),
        "{}",
        found.errors[0].rule
    );
}

#[tokio::test]
async fn a_plan_tells_what_an_older_nginx_does_less_of() {
    let (_master, client) = master().await;
    let upstream = r#"{"kind":"Upstream","metadata":{"name":"shop"},"spec":{
        "resolver":{"servers":["127.0.0.53:53"]},
        "servers":[{"address":"shop.test:80","resolve":true}]}}"#;
    let warnings = |version: &'static str| {
        let client = &client;
        async move {
            let path = format!("plan?nginx_version={version}");
            let plan: PlanResponse = ok(post(client, &path, upstream).await).json().unwrap();
            plan.warnings
        }
    };
    assert_eq!(warnings("1.28.3").await, [""; 0]);
    let older = warnings("1.22.1").await;
    let told = older
        .iter()
        .filter(|it| it.starts_with("Upstream/shop: ") && it.contains("1.27.3"));
    assert_eq!(told.count(), 1, "{older:?}");
}

#[tokio::test]
async fn a_plan_is_for_one_version_of_nginx() {
    let (_master, client) = master().await;
    let policy = r#"{"kind":"VirtualHost","metadata":{"name":"site"},"spec":{
        "server_names":["site.test"],
        "locations":[{"path":"/","respond":{"status":200},
          "rate_limit":{"limits":[{"rate":"1r/s"}],"dry_run":true}}]}}"#;
    ok(post(&client, "plan?nginx_version=1.22.1", policy).await);
    let old = post(&client, "plan?nginx_version=1.17.0", policy).await;
    let found = problem(&old, 422);
    assert!(
        found.errors[0].rule.contains("1.17.1"),
        "{}",
        found.errors[0].rule
    );
    problem(&post(&client, "plan?nginx_version=new", policy).await, 400);
    problem(
        &post(
            &client,
            "plan?agent=0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d",
            policy,
        )
        .await,
        404,
    );
}

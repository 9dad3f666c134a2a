//! A bad resource keeps its last good form, all others are served, and nobody
//! calls that a success.

use std::net::TcpListener;

use nxmesh_agent_lib::{
    apply::{BadResource, Outcome, Partly, Pipeline, code},
    testkit::free_port,
};

use crate::site::{Site, applied, apply, host_on, rejected, version};

fn isolating() -> Site {
    let mut site = Site::new();
    site.options.bad_resource = BadResource::Isolate;
    site
}

async fn held_back(pipeline: &mut Pipeline, revision: u64, documents: &str) -> Partly {
    match apply(pipeline, revision, documents).await {
        Outcome::HeldBack(partly) => partly,
        other => panic!("nothing was held back: {other:?}"),
    }
}

/// A host whose upstream's name nobody knows.
fn lost_host(site: &Site, name: &str) -> String {
    site.host(name, "x").replace(
        "respond: { status: 200, body: \"x\", content_type: text/plain }",
        "proxy: { upstream: lost }",
    )
}

const LOST: &str = "---
kind: Upstream
metadata: { name: lost }
spec: { servers: [{ address: \"nobody.invalid:80\" }] }
";

fn resources(partly: &Partly) -> Vec<&str> {
    let held = partly.held_back.iter();
    held.map(|held| &*held.resource).collect()
}

#[tokio::test]
async fn all_others_are_served_and_the_bad_one_as_before() {
    let site = isolating();
    let mut pipeline = site.up().await;
    let both = |shop, blog| site.host("shop", shop) + &site.host("blog", blog);
    applied(&mut pipeline, 1, &both("one", "one")).await;

    let documents = lost_host(&site, "shop") + &site.host("blog", "two") + LOST;
    let partly = held_back(&mut pipeline, 2, &documents).await;
    assert_eq!(resources(&partly), ["Upstream/lost", "VirtualHost/shop"]);
    let failure = partly.failure();
    assert_eq!((failure.code, failure.retryable), (code::HELD_BACK, false));
    let words = &partly.held_back[0].message;
    assert!(words.contains("[emerg] host not found"), "{words}");
    assert_eq!(site.get("shop").await, "200 one");
    assert_eq!(site.get("blog").await, "200 two");
    // Version 2 was taken on, and is not what serves.
    assert_eq!(pipeline.accepted(), Some(version(2)));
    let whole = pipeline.applied().unwrap().whole().unwrap();
    assert_eq!(whole.0, version(1));
    assert!(pipeline.observe().await.serves_applied);

    // The same holds after a restart,
    drop(pipeline);
    let mut pipeline = site.up().await;
    let state = pipeline.applied().unwrap().clone();
    assert_eq!(
        (state.whole().unwrap().0, state.partly),
        (version(1), Some(partly))
    );
    assert_eq!(site.get("blog").await, "200 two");
    // and the next good version is served as a whole.
    applied(&mut pipeline, 3, &both("three", "three")).await;
    let state = pipeline.applied().unwrap();
    assert_eq!(
        (state.whole().unwrap().0, &state.partly),
        (version(3), &None)
    );
    assert_eq!(site.get("shop").await, "200 three");
    assert_eq!(site.get("blog").await, "200 three");
}

#[tokio::test]
async fn a_new_resource_that_is_bad_stays_out() {
    let site = isolating();
    let mut pipeline = site.up().await;
    let documents = site.host("blog", "one") + &lost_host(&site, "shop") + LOST;
    let partly = held_back(&mut pipeline, 1, &documents).await;
    assert_eq!(partly.whole, None);
    assert_eq!(resources(&partly), ["Upstream/lost", "VirtualHost/shop"]);
    let why = &partly.held_back[1].message;
    assert!(why.contains("needs Upstream/lost"), "{why}");
    assert_eq!(site.get("blog").await, "200 one");
    assert_eq!(pipeline.applied().unwrap().whole(), None);
}

#[tokio::test]
async fn a_port_that_is_taken_holds_its_host_back_until_it_is_free() {
    let site = isolating();
    let mut pipeline = site.up().await;
    applied(&mut pipeline, 1, &site.host("shop", "one")).await;
    let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = taken.local_addr().unwrap().port();
    let documents = site.host("shop", "two") + &host_on(port, "other", "x");
    let partly = held_back(&mut pipeline, 2, &documents).await;
    assert_eq!(resources(&partly), ["VirtualHost/other"]);
    assert_eq!(partly.held_back[0].code, code::RELOAD);
    assert!(partly.failure().retryable);
    assert_eq!(site.get("shop").await, "200 two");

    drop(taken);
    applied(&mut pipeline, 2, &documents).await;
    let (status, body) = nxmesh_agent_lib::testkit::RealNginx::ask(port, "other.example", "/")
        .await
        .unwrap();
    assert_eq!(format!("{status} {body}"), "200 x");
}

#[tokio::test]
async fn where_nothing_new_would_be_left_all_is_refused() {
    let site = isolating();
    let mut pipeline = site.up().await;
    applied(&mut pipeline, 1, &site.host("shop", "one")).await;
    let failure = rejected(&mut pipeline, 2, &(lost_host(&site, "shop") + LOST)).await;
    assert_eq!(failure.code, code::CHECK);
    assert_eq!(pipeline.applied().unwrap().whole().unwrap().0, version(1));
    assert_eq!(site.get("shop").await, "200 one");
}

const REFERENCED: &str = "---
kind: Snippet
metadata: { name: bad }
spec: { context: server, directives: 'TEXT' }
---
kind: VirtualHost
metadata: { name: new }
spec:
  server_names: [new.example]
  listen: [{ port: 8089, address: 127.0.0.1 }]
  snippets: [bad]
  locations: [{ path: /, respond: { status: 200, body: x } }]
";

/// What is bad, and what is said to be: its words in nginx, and who has it.
fn bad_ones() -> Vec<(&'static str, String)> {
    let snippet = |text: &str| REFERENCED.replace("TEXT", text);
    let host = |spec: &str| {
        format!(
            "---\nkind: VirtualHost\nmetadata: {{ name: new }}\nspec:\n  server_names: [new.example]\n  \
             listen: [{{ port: 8089, address: 127.0.0.1 }}]\n  {spec}\n  locations: [{{ path: /, respond: {{ status: 200, body: x }} }}]\n"
        )
    };
    vec![
        ("Snippet/bad", snippet("add_header A $unknown_variable;")),
        ("Snippet/bad", snippet("limit_req zone=nonexist;")),
        ("Snippet/bad", snippet("proxy_cache nonexist;")),
        (
            "VirtualHost/new",
            host("access_log: { to: { file: /nonexistent/dir/a.log } }"),
        ),
        (
            "Policy/bad",
            "---\nkind: Policy\nmetadata: { name: bad }\nspec: { error_log: { file: /nonexistent/x/e.log } }\n"
                .to_owned()
                + &host("policies: [bad]"),
        ),
        (
            "RouteSet/bad",
            "---\nkind: RouteSet\nmetadata: { name: bad }\nspec: { locations: [{ path: /d/x, access_log: { to: { file: /nonexistent/z.log } }, respond: { status: 200 } }] }\n"
                .to_owned()
                + &host("delegates: [{ prefix: /d/, routes: bad }]"),
        ),
        (
            "VirtualHost/new",
            host("").replace(
                "respond: { status: 200, body: x }",
                "proxy: { upstream: up, scheme: https, tls: { verify: { file: /nonexistent/ca.pem } } }",
            ) + "---\nkind: Upstream\nmetadata: { name: up }\nspec: { servers: [{ address: '127.0.0.1:80' }] }\n",
        ),
        (
            "Template/virtual-host",
            "---\nkind: Template\nmetadata: { name: virtual-host }\nspec: { source: 'bogus_directive on;' }\n".to_owned(),
        ),
    ]
}

#[tokio::test]
async fn who_is_at_fault_is_found_where_nginx_names_no_file_of_it() {
    for (bad, documents) in bad_ones() {
        let site = isolating();
        let mut pipeline = site.up().await;
        applied(
            &mut pipeline,
            1,
            &(site.host("shop", "one") + &site.host("blog", "one")),
        )
        .await;
        let good = site.host("shop", "two") + &site.host("blog", "two");
        let partly = held_back(&mut pipeline, 2, &(good + &documents)).await;
        assert_eq!(resources(&partly)[0], bad, "{partly:?}");
        assert!(
            partly.held_back[0].message.contains("[emerg] "),
            "{partly:?}"
        );
        assert_eq!(site.get("shop").await, "200 two", "{bad}");
        assert_eq!(site.get("blog").await, "200 two", "{bad}");
    }
}

#[tokio::test]
async fn what_an_unchanged_host_refers_to_is_at_fault_for_its_file() {
    let site = isolating();
    let mut pipeline = site.up().await;
    let shop = site.host("shop", "one");
    let using = shop.replace("respond:", "snippets: [odd], respond:");
    let odd = |text: &str| {
        format!(
            "---\nkind: Snippet\nmetadata: {{ name: odd }}\nspec: {{ context: location, directives: '{text}' }}\n"
        )
    };
    applied(
        &mut pipeline,
        1,
        &(using.clone() + &site.host("blog", "one") + &odd("etag off;")),
    )
    .await;
    let documents = using + &site.host("blog", "two") + &odd("expires notatime;");
    let partly = held_back(&mut pipeline, 2, &documents).await;
    assert_eq!(resources(&partly), ["Snippet/odd"]);
    assert_eq!(site.get("shop").await, "200 one");
    assert_eq!(site.get("blog").await, "200 two");
}

#[tokio::test]
async fn one_of_many_changes_is_found_and_named_where_all_are_refused_too() {
    let many = |text: &str| -> String {
        let hosts = (0..40).map(|number| format!("h{number}"));
        hosts.map(|name| host_on(8089, &name, text)).collect()
    };
    let bad = host_on(8089, "h23", "two").replace(
        "locations:",
        "access_log: { to: { file: /nonexistent/a.log } }\n  locations:",
    );
    let documents = |site: &Site| {
        let changed = many("two").replace(&host_on(8089, "h23", "two"), &bad);
        site.host("shop", "two") + &changed
    };
    let site = isolating();
    let mut pipeline = site.up().await;
    applied(&mut pipeline, 1, &(site.host("shop", "one") + &many("one"))).await;
    let partly = held_back(&mut pipeline, 2, &documents(&site)).await;
    assert_eq!(resources(&partly), ["VirtualHost/h23"]);
    assert_eq!(site.get("shop").await, "200 two");
    drop((pipeline, site));

    let site = Site::new();
    let mut pipeline = site.up().await;
    applied(&mut pipeline, 1, &(site.host("shop", "one") + &many("one"))).await;
    let failure = rejected(&mut pipeline, 2, &documents(&site)).await;
    assert_eq!(failure.resource, Some("VirtualHost/h23".parse().unwrap()));
    assert_eq!(site.get("shop").await, "200 one");
}

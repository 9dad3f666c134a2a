//! What may be stored, and what a write answers.

use std::{sync::Arc, time::Duration};

use nxmesh_core::{
    api::ChangeKind,
    check::check,
    contract::storage::{Expected, ListResources, ListRevisions, Storage},
    memory::MemoryStorage,
    model::{Resource, ResourceKey},
    testkit::sample,
};
use nxmesh_master_lib::engine::{DesiredChange, EngineError, WriteRequest, Written};
use serde_json::json;

use crate::fleet::{Hello, Master, host, workspace};

fn request(changes: Vec<DesiredChange>) -> WriteRequest {
    WriteRequest {
        workspace: workspace(),
        author: "admin".to_owned(),
        message: "because".to_owned(),
        changes,
        dry_run: false,
    }
}

async fn write(master: &Master, changes: Vec<DesiredChange>) -> Result<Written, EngineError> {
    master.engine.write(request(changes)).await
}

fn key(text: &str) -> ResourceKey {
    text.parse().unwrap()
}

fn shop() -> Vec<DesiredChange> {
    vec![
        DesiredChange::put(Resource::from(sample::certificate("shop"))),
        DesiredChange::put(Resource::from(sample::upstream("shop"))),
        DesiredChange::put(Resource::from(sample::tls_virtual_host("shop"))),
    ]
}

fn kinds(written: &Written) -> Vec<ChangeKind> {
    written.changes.iter().map(|change| change.change).collect()
}

fn problems(outcome: Result<Written, EngineError>) -> Vec<nxmesh_core::document::Problem> {
    match outcome {
        Err(EngineError::Invalid(problems)) => problems,
        other => panic!("not refused as invalid: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_becomes_one_revision() {
    let master = Master::start().await;
    let written = write(&master, shop()).await.unwrap();
    assert_eq!(written.version.unwrap().revision, 1);
    assert_eq!(kinds(&written), [ChangeKind::Created; 3]);
    let shown = serde_json::to_string(&written.changes).unwrap();
    assert!(shown.contains(r#""private_key":"***""#), "{shown}");
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    let revision = master.engine.revision(&workspace(), 1).await.unwrap();
    assert_eq!(
        (
            &*revision.author,
            &*revision.message,
            revision.changes.len()
        ),
        ("admin", "because", 3)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_there_already_makes_no_revision() {
    let master = Master::start().await;
    write(&master, shop()).await.unwrap();
    let again = write(&master, shop()).await.unwrap();
    assert_eq!(again.version, None);
    assert_eq!(kinds(&again), [ChangeKind::Unchanged; 3]);
    assert!(again.agents.is_empty());
    let mut mixed = shop();
    mixed.push(DesiredChange::put(host("blog", "", "x")));
    let mixed = write(&master, mixed).await.unwrap();
    assert_eq!(mixed.version.unwrap().revision, 2);
    let revision = master.engine.revision(&workspace(), 2).await.unwrap();
    assert_eq!(
        revision.changes.len(),
        1,
        "unchanged documents are no change"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_all_and_stores_nothing() {
    let master = Master::start().await;
    let agent = master.agent(&[]).await;
    let mut dry = request(shop());
    dry.dry_run = true;
    let written = master.engine.write(dry).await.unwrap();
    assert_eq!(written.version, None);
    assert_eq!(kinds(&written), [ChangeKind::Created; 3]);
    assert_eq!(written.agents, [agent.id]);
    let query = ListRevisions {
        workspace: None,
        after: 0,
        limit: 10,
    };
    assert!(master.engine.revisions(&query).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_agents_concerned_are_those_whose_slice_changes() {
    let master = Master::start().await;
    let prod = master.agent(&[("env", "prod")]).await;
    let dev = master.agent(&[("env", "dev")]).await;
    let by_selector = |selector: &str| {
        let mut document =
            serde_json::to_value(Resource::from(sample::virtual_host("shop"))).unwrap();
        document["spec"]["selector"] = json!(selector);
        DesiredChange::put(sample::resource(document))
    };
    let upstream = |weight: u16| {
        let mut document = serde_json::to_value(Resource::from(sample::upstream("shop"))).unwrap();
        document["spec"]["servers"][0]["weight"] = json!(weight);
        DesiredChange::put(sample::resource(document))
    };
    let created = write(&master, vec![upstream(1), by_selector("env=prod")])
        .await
        .unwrap();
    assert_eq!(created.agents, std::slice::from_ref(&prod.id));
    let referred = write(&master, vec![upstream(2)]).await.unwrap();
    assert_eq!(referred.agents, std::slice::from_ref(&prod.id));
    let moved = write(&master, vec![by_selector("env=dev")]).await.unwrap();
    let mut both = vec![prod.id, dev.id];
    both.sort();
    assert_eq!(moved.agents, both);
    let nobody = write(&master, vec![by_selector("env=test")]).await.unwrap();
    assert_eq!(
        nobody.warnings,
        ["VirtualHost/shop is served by no agent: none matches env=test"]
    );
}

#[tokio::test(start_paused = true)]
async fn broken_references_are_refused_and_name_who_refers() {
    let master = Master::start().await;
    let missing = vec![DesiredChange::put(Resource::from(sample::virtual_host(
        "shop",
    )))];
    let found = problems(write(&master, missing).await);
    assert_eq!(found[0].document, "VirtualHost/shop");
    assert_eq!(found[0].pointer, "/spec/locations/0/proxy/upstream");
    write(&master, shop()).await.unwrap();
    let found = problems(write(&master, vec![DesiredChange::delete(key("Upstream/shop"))]).await);
    assert_eq!(found[0].document, "Upstream/shop");
    assert!(found[0].rule.contains("VirtualHost/shop"), "{}", found[0]);
    let together = vec![
        DesiredChange::delete(key("Upstream/shop")),
        DesiredChange::delete(key("VirtualHost/shop")),
    ];
    let deleted = write(&master, together).await.unwrap();
    assert_eq!(kinds(&deleted), [ChangeKind::Deleted; 2]);
}

#[tokio::test(start_paused = true)]
async fn malformed_requests_are_refused() {
    let master = Master::start().await;
    let twice = vec![
        DesiredChange::put(host("shop", "", "a")),
        DesiredChange::put(host("shop", "", "b")),
    ];
    assert_eq!(problems(write(&master, twice).await).len(), 1);
    let renamed = DesiredChange {
        key: key("VirtualHost/blog"),
        ..DesiredChange::put(host("shop", "", "a"))
    };
    assert_eq!(
        problems(write(&master, vec![renamed]).await)[0].pointer,
        "/metadata/name"
    );
    let elsewhere = WriteRequest {
        workspace: "other".parse().unwrap(),
        ..request(vec![DesiredChange::put(host("shop", "", "a"))])
    };
    let found = problems(master.engine.write(elsewhere).await);
    assert_eq!(found[0].pointer, "/metadata/workspace");
    let absent = write(&master, vec![DesiredChange::delete(key("Upstream/none"))]).await;
    assert!(
        matches!(absent, Err(EngineError::NotFound { .. })),
        "{absent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn expectations_are_kept() {
    let master = Master::start().await;
    let put = |body: &str| DesiredChange::put(host("shop", "", body));
    write(&master, vec![put("1").expecting(Expected::Absent)])
        .await
        .unwrap();
    let stale = write(&master, vec![put("2").expecting(Expected::Absent)]).await;
    assert!(
        matches!(stale, Err(EngineError::Conflict { .. })),
        "{stale:?}"
    );
    write(&master, vec![put("2").expecting(Expected::Revision(1))])
        .await
        .unwrap();
    let stale = write(&master, vec![put("3").expecting(Expected::Revision(1))]).await;
    let Err(EngineError::Conflict {
        what,
        expected,
        found,
    }) = stale
    else {
        panic!("{stale:?}");
    };
    assert_eq!(
        (&*what, &*expected, &*found),
        ("VirtualHost/shop", "revision 1", "revision 2")
    );
}

#[tokio::test(start_paused = true)]
async fn undo_restores_what_was_before() {
    let master = Master::start().await;
    let undo = async |revision| {
        master
            .engine
            .undo(
                workspace(),
                revision,
                "admin".to_owned(),
                String::new(),
                false,
            )
            .await
    };
    write(&master, vec![DesiredChange::put(host("shop", "", "1"))])
        .await
        .unwrap();
    let both = vec![
        DesiredChange::put(host("shop", "", "2")),
        DesiredChange::put(host("blog", "", "new")),
    ];
    write(&master, both).await.unwrap();
    let undone = undo(2).await.unwrap();
    assert_eq!(undone.version.unwrap().revision, 3);
    assert_eq!(
        master
            .engine
            .revision(&workspace(), 3)
            .await
            .unwrap()
            .message,
        "undo revision 2"
    );
    let query = ListResources {
        workspace: workspace(),
        kind: None,
        after: None,
        limit: None,
    };
    let left = master.engine.resources(&query).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(*left[0].resource, host("shop", "", "1"));
    // Undone is undoable.
    undo(3).await.unwrap();
    let again = master
        .engine
        .resource(&workspace(), &key("VirtualHost/shop"))
        .await
        .unwrap();
    assert_eq!(*again.resource, host("shop", "", "2"));
    // What was touched since is not overwritten.
    let conflict = undo(2).await.unwrap_err();
    let told = conflict.to_string();
    assert!(told.contains("VirtualHost/shop by revision 4"), "{told}");
    assert!(told.contains("VirtualHost/blog by revision 4"), "{told}");
    assert!(matches!(undo(99).await, Err(EngineError::NotFound { .. })));
}

#[tokio::test(start_paused = true)]
async fn certificates_are_looked_at() {
    let master = Master::start().await;
    let document =
        |name: &str| serde_json::to_value(Resource::from(sample::certificate(name))).unwrap();
    let other = serde_json::to_value(Resource::from(sample::other_certificate("shop"))).unwrap();
    let mut mismatched = document("shop");
    mismatched["spec"]["private_key"] = other["spec"]["private_key"].clone();
    let found = problems(
        write(
            &master,
            vec![DesiredChange::put(sample::resource(mismatched))],
        )
        .await,
    );
    assert_eq!(found[0].pointer, "/spec/private_key");
    let mut disordered = document("shop");
    let chain =
        |value: &serde_json::Value| value["spec"]["certificate"].as_str().unwrap().to_owned();
    disordered["spec"]["certificate"] = json!(chain(&document("shop")) + &chain(&other));
    let found = problems(
        write(
            &master,
            vec![DesiredChange::put(sample::resource(disordered))],
        )
        .await,
    );
    assert_eq!(found[0].pointer, "/spec/certificate");
    assert!(
        found[0].rule.contains("number 2 did not issue number 1"),
        "{}",
        found[0]
    );

    // Served where it does not fit, and past its end: allowed, but told.
    let far = Duration::from_secs(300 * 365 * 24 * 3600);
    master.clock.advance(far);
    let mut changes = shop();
    changes[0] = DesiredChange::put(Resource::from(sample::other_certificate("shop")));
    let written = write(&master, changes).await.unwrap();
    assert!(
        written.warnings.iter().any(|it| it.contains("expired")),
        "{:?}",
        written.warnings
    );
    let uncovered = written
        .warnings
        .iter()
        .any(|it| it.contains("does not cover shop.example.com"));
    assert!(uncovered, "{:?}", written.warnings);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_drops_connections_says_so() {
    let master = Master::start().await;
    let host = |reuse: bool| {
        let listen = json!([{ "port": 80, "reuse_port": reuse }]);
        let spec = json!({ "server_names": ["shop.example.com"], "listen": listen });
        let document =
            json!({ "kind": "VirtualHost", "metadata": { "name": "shop" }, "spec": spec });
        vec![DesiredChange::put(sample::resource(document))]
    };
    let first = write(&master, host(false)).await.unwrap();
    let told = |warnings: &[String]| warnings.iter().any(|it| it.contains("reuse_port"));
    assert!(!told(&first.warnings), "{:?}", first.warnings);
    let second = write(&master, host(true)).await.unwrap();
    assert!(told(&second.warnings), "{:?}", second.warnings);
}

/// Writers that expect nothing never disturb each other; all is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_writers_all_succeed() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let masters = [
        Master::on(Arc::clone(&storage)).await,
        Master::on(Arc::clone(&storage)).await,
    ];
    let writes = (0..40).map(|number| {
        let master = &masters[number % 2];
        async move {
            let changes = vec![
                DesiredChange::put(host("shared", "", &number.to_string())),
                DesiredChange::put(host(&format!("own-{number}"), "", "x")),
            ];
            write(master, changes)
                .await
                .unwrap()
                .version
                .unwrap()
                .revision
        }
    });
    let mut revisions = futures_util::future::join_all(writes).await;
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=40).collect::<Vec<u64>>());
    let query = ListResources {
        workspace: workspace(),
        kind: None,
        after: None,
        limit: None,
    };
    let stored = masters[0].engine.resources(&query).await.unwrap();
    assert_eq!(stored.len(), 41);
    check(stored.into_iter().map(|it| it.resource).collect()).unwrap();
}

/// A write that was answered is on its way, whoever asks next.
#[tokio::test(start_paused = true)]
async fn a_write_is_announced() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    write(&master, vec![DesiredChange::put(host("shop", "", "x"))])
        .await
        .unwrap();
    assert!(
        session
            .update_within(Duration::from_millis(100))
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn a_deletion_with_a_later_life_between_is_not_undone() {
    let master = Master::start().await;
    let upstream = |servers: usize| {
        let mut upstream = sample::upstream("shop");
        upstream.spec.keepalive = Some(u32::try_from(servers).unwrap());
        vec![DesiredChange::put(Resource::from(upstream))]
    };
    let delete = || vec![DesiredChange::delete(key("Upstream/shop"))];
    write(&master, upstream(1)).await.unwrap();
    write(&master, delete()).await.unwrap();
    write(&master, upstream(3)).await.unwrap();
    write(&master, delete()).await.unwrap();
    let undo = async |revision| {
        let author = "admin".to_owned();
        master
            .engine
            .undo(workspace(), revision, author, String::new(), false)
            .await
    };
    let conflict = undo(2).await.unwrap_err();
    assert!(conflict.to_string().contains("by revision 3"), "{conflict}");
    assert_eq!(undo(4).await.unwrap().version.unwrap().revision, 5);
}

/// A resource that others are made of is tried together with them.
#[tokio::test]
async fn what_others_are_made_of_is_checked_with_them() {
    let master = Master::start().await;
    write(&master, shop()).await.unwrap();
    let put = |kind: &str, name: &str, spec: serde_json::Value| {
        let document = json!({ "kind": kind, "metadata": { "name": name }, "spec": spec });
        DesiredChange::put(sample::resource(document))
    };
    for (change, document, pointer, words) in [
        (
            put(
                "Template",
                "upstream",
                json!({ "source": "upstream {{name}} {\n  {{x}}\n}" }),
            ),
            "Template/upstream",
            "/spec/source",
            "line 2, column 3",
        ),
        (
            put(
                "Snippet",
                "raw",
                json!({ "context": "server", "directives": "root /etc;" }),
            ),
            "Snippet/raw",
            "/spec/directives",
            "root",
        ),
    ] {
        let problems = problems(write(&master, vec![change]).await);
        let found = &problems[0];
        assert_eq!(
            (&*found.document, &*found.pointer),
            (document, pointer),
            "{found}"
        );
        assert!(found.rule.contains(words), "{found}");
    }
    let fine = put(
        "Template",
        "upstream",
        json!({ "source": "upstream {{name}} { server 127.0.0.1:1; }" }),
    );
    let written = write(&master, vec![fine]).await.unwrap();
    assert_eq!(written.version.unwrap().revision, 2);
}

#[tokio::test(start_paused = true)]
async fn snippets_are_judged_by_the_policy_of_the_master() {
    let master = Master::start().await;
    let policy = serde_json::from_value(json!({ "deny": ["gzip"] })).unwrap();
    let strict = master.engine.clone().with_snippet_policy(Arc::new(policy));
    let snippet = nxmesh_core::document::parse_value(
        "test",
        json!({
            "kind": "Snippet", "metadata": { "name": "raw" },
            "spec": { "context": "server", "directives": "gzip on;" }
        }),
    );
    let change = DesiredChange::put(snippet.unwrap());
    let refused = problems(strict.write(request(vec![change.clone()])).await);
    assert_eq!(refused[0].pointer, "/spec/directives");
    write(&master, vec![change]).await.unwrap();
}

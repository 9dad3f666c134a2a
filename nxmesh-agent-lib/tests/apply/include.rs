//! The user's `nginx.conf` stays theirs.

use std::fs;

use nxmesh_agent_lib::{
    apply::{ApplyOptions, Mode, PipelineError, code},
    nginx::Layout,
    testkit::{RealNginx, free_port},
};

use nxmesh_core::{contract::reloader::Reloader as _, testkit::reloader::DEADLINE};

use crate::site::{Site, applied, rejected, version};

/// A user's nginx that answers "theirs", and an agent beside it.
async fn beside(included: bool) -> (RealNginx, Site) {
    let nginx = RealNginx::new();
    let layout = Layout::new(nginx.dir().join("s"), nginx.dir().join("r"));
    fs::create_dir_all(layout.state_dir()).unwrap();
    let mode = Mode::Include {
        nginx_conf: nginx.conf(),
    };
    let mut options = ApplyOptions::new(layout, mode);
    options.probe_attempts = 3;
    // Relative names count from the folder of nginx.conf, in a check too.
    fs::write(nginx.dir().join("theirs.conf"), nginx.server("theirs")).unwrap();
    let include = if included {
        format!("include {};", options.entry().display())
    } else {
        String::new()
    };
    nginx.set_conf(&nginx.conf_with("", &format!("include theirs.conf;\n{include}")));
    let site = Site {
        folder: tempfile::tempdir().unwrap(),
        options,
        port: free_port(),
    };
    (nginx, site)
}

#[tokio::test]
async fn hosts_are_added_beside_the_users_own() {
    let (nginx, site) = beside(true).await;
    let mut pipeline = site.up().await;
    assert_eq!(
        nginx.get().await.unwrap(),
        "theirs",
        "their nginx was started"
    );
    let before = fs::read(nginx.conf()).unwrap();
    for (revision, text) in [(1, "one"), (2, "two")] {
        let done = applied(&mut pipeline, revision, &site.host("shop", text)).await;
        assert!(done.reloaded);
        assert_eq!(site.get("shop").await, format!("200 {text}"));
        assert_eq!(nginx.get().await.unwrap(), "theirs");
    }
    assert_eq!(fs::read(nginx.conf()).unwrap(), before);
    assert!(
        !applied(&mut pipeline, 3, &site.host("shop", "two"))
            .await
            .reloaded
    );
}

#[tokio::test]
async fn a_missing_include_is_told_with_the_line_to_add() {
    let (nginx, site) = beside(false).await;
    let mut pipeline = site.up().await;
    let documents = site.host("shop", "one");
    let failure = rejected(&mut pipeline, 1, &documents).await;
    assert_eq!(failure.code, code::NOT_INCLUDED);
    let line = format!("include {};", site.options.entry().display());
    assert!(failure.message.contains(&line), "{failure:?}");
    assert!(failure.message.contains("http block"), "{failure:?}");
    assert_eq!(nginx.get().await.unwrap(), "theirs");
    // Done as told, the same version goes through.
    nginx.set_conf(&nginx.conf_with("", &format!("include theirs.conf;\n{line}")));
    assert!(failure.retryable);
    applied(&mut pipeline, 1, &documents).await;
    assert_eq!(site.get("shop").await, "200 one");
}

#[tokio::test]
async fn an_include_that_is_gone_is_told_and_nginx_left_alone() {
    let (nginx, site) = beside(true).await;
    let mut pipeline = site.up().await;
    applied(&mut pipeline, 1, &site.host("shop", "one")).await;
    let whole = fs::read_to_string(nginx.conf()).unwrap();
    let line = format!("include {};", site.options.entry().display());
    assert!(whole.contains(&line));
    nginx.set_conf(&whole.replace(&line, ""));
    nginx.reloader().reload(DEADLINE).await.unwrap();
    let before = nginx.reloader().running().await.unwrap();
    let failure = |recovered| match recovered {
        Err(PipelineError::NotServing { failure, .. }) => *failure,
        other => panic!("{other:?}"),
    };
    let told = failure(pipeline.recover().await);
    assert_eq!(told.code, code::NOT_INCLUDED);
    assert!(told.message.contains(&line), "{told:?}");
    assert_eq!(nginx.reloader().running().await.unwrap(), before);
    // Theirs is started all the same.
    nginx.kill();
    assert_eq!(failure(pipeline.recover().await).code, code::NOT_INCLUDED);
    assert_eq!(nginx.get().await.unwrap(), "theirs");
    nginx.set_conf(&whole);
    pipeline.recover().await.unwrap();
    assert_eq!(site.get("shop").await, "200 one");
}

#[tokio::test]
async fn a_conflict_with_the_users_own_is_refused_and_rolled_back_to_nothing() {
    let (nginx, site) = beside(true).await;
    let mut pipeline = site.up().await;
    // Their upstream has the name that ours would get: told by nginx alone.
    let documents = "---\nkind: Upstream\nmetadata: { name: a }\n\
                     spec: { servers: [{ address: \"nobody.invalid:80\" }] }\n---\n\
                     kind: VirtualHost\nmetadata: { name: a }\nspec:\n  server_names: [a.example]\n  \
                     locations: [{ path: /, proxy: { upstream: a } }]\n";
    let failure = rejected(&mut pipeline, 1, documents).await;
    assert_eq!(failure.code, code::CHECK);
    assert_eq!(pipeline.applied(), None);
    assert_eq!(nginx.get().await.unwrap(), "theirs");
    applied(&mut pipeline, 2, &site.host("shop", "two")).await;
    assert_eq!(pipeline.applied().unwrap().version, version(2));
}

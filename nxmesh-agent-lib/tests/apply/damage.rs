//! Files that are torn, changed, gone or cannot be written, and an nginx that dies
//! on the way: the old or the new release serves, and the next version heals it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use nxmesh_agent_lib::{
    apply::{Outcome, Pipeline, code},
    testkit::{ReadOnly, stop_nginx_in},
};

use crate::{
    crashes::{At, dies_between},
    failures::serving_one,
    saboteur::Saboteur,
    site::{Site, applied, apply, names_in, rejected, rolled_back, version},
};

/// What is there now serves, and the next version does after it.
async fn heals(site: &Site, pipeline: &mut Pipeline, served: &str) {
    assert_eq!(site.get("shop").await, format!("200 {served}"));
    assert!(pipeline.observe().await.serves_applied);
    applied(pipeline, 7, &site.host("shop", "seven")).await;
    assert_eq!(site.get("shop").await, "200 seven");
}

#[tokio::test]
async fn a_torn_journal_only_means_going_back() {
    let cuts: [fn(usize) -> usize; 4] = [|_| 0, |_| 1, |length| length / 2, |length| length - 2];
    for cut in cuts {
        let site = Site::new();
        let (first, second) = (site.host("shop", "one"), site.host("shop", "two"));
        drop(dies_between(&site, At::BeforeReload, &first, &second).await);
        let journal = site.layout().journal();
        let mut bytes = fs::read(&journal).unwrap();
        bytes.truncate(cut(bytes.len()));
        fs::write(&journal, bytes).unwrap();
        let mut pipeline = site.up().await;
        assert_eq!(pipeline.applied().unwrap().version, version(1));
        heals(&site, &mut pipeline, "one").await;
    }
}

#[tokio::test]
async fn a_journal_of_something_else_only_means_going_back() {
    for text in [
        "[]",
        "{\"to\": 1}",
        "\u{0}\u{0}\u{0}",
        "{\"to\":{\"release\":\"../../etc\"}}",
    ] {
        let site = Site::new();
        let (first, second) = (site.host("shop", "one"), site.host("shop", "two"));
        drop(dies_between(&site, At::BeforeReload, &first, &second).await);
        fs::write(site.layout().journal(), text).unwrap();
        let mut pipeline = site.up().await;
        heals(&site, &mut pipeline, "one").await;
    }
}

/// Turns one bit in each file of a folder.
fn flip(folder: &Path) {
    for name in names_in(folder) {
        let path = folder.join(name);
        // What nobody needs any more may go meanwhile.
        let Ok(mut bytes) = fs::read(&path) else {
            continue;
        };
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_cache_takes_nothing_from_what_serves() {
    let site = Site::new();
    drop(serving_one(&site).await);
    flip(&site.layout().slices());
    let mut pipeline = site.up().await;
    heals(&site, &mut pipeline, "one").await;

    // Without nginx, the release on disk is enough.
    flip(&site.layout().slices());
    drop(pipeline);
    stop_nginx_in(site.folder.path());
    let pipeline = site.up().await;
    assert_eq!(site.get("shop").await, "200 seven");
    assert_eq!(pipeline.applied().unwrap().version, version(7));
}

#[tokio::test]
async fn a_release_that_is_gone_is_made_anew() {
    for nginx_runs in [true, false] {
        let site = Site::new();
        drop(serving_one(&site).await);
        fs::remove_dir_all(site.layout().releases()).unwrap();
        if !nginx_runs {
            stop_nginx_in(site.folder.path());
        }
        let mut pipeline = site.up().await;
        assert_eq!(pipeline.applied().unwrap().version, version(1));
        heals(&site, &mut pipeline, "one").await;
    }
}

/// Nothing is left to make it from; the next version is what heals it.
#[tokio::test]
async fn with_release_and_cache_gone_the_next_version_serves() {
    let site = Site::new();
    drop(serving_one(&site).await);
    fs::remove_dir_all(site.layout().releases()).unwrap();
    fs::remove_dir_all(site.layout().slices()).unwrap();
    stop_nginx_in(site.folder.path());
    let mut pipeline = site.open().await;
    let recovered = pipeline.recover().await;
    assert!(
        recovered.is_err(),
        "it says that nothing serves: {recovered:?}"
    );
    applied(&mut pipeline, 2, &site.host("shop", "two")).await;
    assert_eq!(site.get("shop").await, "200 two");
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_touches_nothing() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can mount");
        return;
    }
    let site = Site::new();
    let mut pipeline = serving_one(&site).await;
    let folder = site.layout().state_dir().to_owned();
    {
        let _read_only = ReadOnly::new(&folder);
        let failure = rejected(&mut pipeline, 2, &site.host("shop", "two")).await;
        assert_eq!(failure.code, code::STAGE);
        assert!(failure.retryable, "{failure:?}");
        assert!(failure.message.contains("Read-only"), "{failure:?}");
        assert_eq!(site.get("shop").await, "200 one");
        assert!(pipeline.observe().await.serves_applied);
        // Neither does the next agent's start.
        drop(pipeline);
        pipeline = site.up().await;
        assert_eq!(pipeline.applied().unwrap().version, version(1));
        assert!(pipeline.observe().await.serves_applied);
    }
    heals(&site, &mut pipeline, "one").await;
}

#[tokio::test]
async fn an_nginx_that_dies_at_the_switch_ends_in_old_or_new() {
    let before: fn(&Path) = |state| stop_nginx_in(state.parent().unwrap());
    for (before, after) in [(Some(before), None), (None, Some(before))] {
        let site = Site::new();
        drop(serving_one(&site).await);
        let saboteur = Saboteur::new(&site, before, after);
        let mut pipeline = site.open_with(Arc::new(saboteur)).await;
        pipeline.recover().await.unwrap();
        let outcome = apply(&mut pipeline, 2, &site.host("shop", "two")).await;
        let served = match &outcome {
            Outcome::Applied(_) => "two",
            Outcome::RolledBack(_) => "one",
            other => panic!("{other:?}"),
        };
        heals(&site, &mut pipeline, served).await;
    }
}

/// The files below a folder in which `text` stands.
fn with_text(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in names_in(folder) {
        let path = folder.join(name);
        if path.is_dir() {
            found.extend(with_text(&path, text));
        } else if fs::read(&path).is_ok_and(|it| String::from_utf8_lossy(&it).contains(text)) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn what_is_swapped_between_check_and_reload_is_not_called_applied() {
    let host: fn(&Path) = |state| {
        let files = with_text(&state.join("releases"), "two");
        assert_eq!(files.len(), 1, "{files:?}");
        let text = fs::read_to_string(&files[0]).unwrap();
        fs::write(&files[0], text.replace("two", "evil")).unwrap();
    };
    let users: fn(&Path) = |state| {
        let files = with_text(&state.with_file_name("r").join("tls"), "ann:");
        assert_eq!(files.len(), 1, "{files:?}");
        let text = fs::read_to_string(&files[0]).unwrap();
        fs::write(&files[0], text.replace("ann", "eve")).unwrap();
    };
    for swap in [host, users] {
        let site = Site::new();
        drop(serving_one(&site).await);
        let mut pipeline = site
            .open_with(Arc::new(Saboteur::new(&site, Some(swap), None)))
            .await;
        pipeline.recover().await.unwrap();
        let second = site.host("shop", "two")
            + &site.host("closed", "x").replace(
                "  locations",
                "  basic_auth: { users: { list: [{ name: ann, password_hash: \"$apr1$rOioh4Wh$bVD3DRwksETubcpEH90ww0\" }] } }\n  locations",
            );
        let failure = rolled_back(&mut pipeline, 2, &second).await;
        assert_eq!(failure.code, code::STAGE);
        assert!(failure.retryable, "{failure:?}");
        assert!(
            failure.message.contains("somebody else changed"),
            "{failure:?}"
        );
        assert_eq!(pipeline.applied().unwrap().version, version(1));
        assert_eq!(site.get("shop").await, "200 one");
        // The same version again, as the master offers it.
        applied(&mut pipeline, 2, &second).await;
        assert_eq!(site.get("shop").await, "200 two");
        heals(&site, &mut pipeline, "two").await;
    }
}

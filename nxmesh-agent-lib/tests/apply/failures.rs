//! What fails is told in nginx's words, and what served before serves on.

use std::{fs, net::TcpListener, path::Path, process::Command, sync::Arc};

use nxmesh_agent_lib::{
    apply::{Mode, Pipeline, code},
    testkit::free_port,
};
use nxmesh_core::contract::reloader::Reloader;

use crate::crashes::{At, dies_between};
use crate::saboteur::Saboteur;
use crate::site::{Site, applied, host_on, names_in, rejected, rolled_back, version};

pub(crate) async fn serving_one(site: &Site) -> Pipeline {
    let mut pipeline = site.up().await;
    applied(&mut pipeline, 1, &site.host("shop", "one")).await;
    pipeline
}

/// The old one serves, `applied` says so, no trace is left, and the next good
/// one works.
async fn nothing_happened(site: &Site, pipeline: &mut Pipeline) {
    assert_eq!(site.get("shop").await, "200 one");
    assert_eq!(pipeline.applied().unwrap().version, version(1));
    assert!(pipeline.observe().await.serves_applied);
    assert!(!site.layout().journal().exists());
    assert_eq!(site.releases().len(), 2, "the failed release is gone");
    applied(pipeline, 9, &site.host("shop", "nine")).await;
    assert_eq!(site.get("shop").await, "200 nine");
}

/// A host whose backend's name nobody knows: a fault only nginx finds.
const UNRESOLVABLE: &str = "---
kind: Upstream
metadata: { name: lost }
spec: { servers: [{ address: \"nobody.invalid:80\" }] }
---
kind: VirtualHost
metadata: { name: shop }
spec:
  server_names: [shop.example]
  locations: [{ path: /, proxy: { upstream: lost } }]
";

#[tokio::test]
async fn what_nginx_refuses_is_told_with_the_resource_at_fault() {
    let site = Site::new();
    let mut pipeline = serving_one(&site).await;
    let before = pipeline.observe().await;
    let failure = rejected(&mut pipeline, 2, UNRESOLVABLE).await;
    assert_eq!(failure.code, code::CHECK);
    assert!(
        failure.message.contains("[emerg] host not found"),
        "{failure:?}"
    );
    assert_eq!(
        failure
            .resource
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("Upstream/lost"),
        "{failure:?}"
    );
    assert!(
        failure.line.is_some() && failure.file.is_some(),
        "{failure:?}"
    );
    assert_eq!(pipeline.observe().await, before, "nginx was left alone");
    assert_eq!(pipeline.accepted(), Some(version(2)));
    nothing_happened(&site, &mut pipeline).await;
}

#[tokio::test]
async fn a_taken_port_is_found_at_the_reload_and_nothing_changes() {
    let site = Site::new();
    let mut pipeline = serving_one(&site).await;
    let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = taken.local_addr().unwrap().port();
    let documents = site.host("shop", "two") + &host_on(port, "other", "x");
    let failure = rejected(&mut pipeline, 2, &documents).await;
    assert_eq!(failure.code, code::RELOAD);
    assert!(failure.retryable, "the port may become free");
    assert!(
        failure.message.contains("still could not bind"),
        "{failure:?}"
    );
    assert!(failure.message.contains(&port.to_string()), "{failure:?}");
    nothing_happened(&site, &mut pipeline).await;
}

#[tokio::test]
async fn a_first_version_that_fails_leaves_an_empty_nginx() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    let failure = rejected(&mut pipeline, 1, UNRESOLVABLE).await;
    assert_eq!(failure.code, code::CHECK);
    assert_eq!(pipeline.applied(), None);
    assert!(pipeline.observe().await.generation.is_some());
    applied(&mut pipeline, 2, &site.host("shop", "two")).await;
    assert_eq!(site.get("shop").await, "200 two");
}

/// A pipeline at version 1 whose next reload is preceded by `sabotage`.
async fn sabotaged(site: &Site, sabotage: fn(&Path)) -> Pipeline {
    drop(serving_one(site).await);
    let saboteur = Saboteur::new(site, Some(sabotage), None);
    let mut pipeline = site.open_with(Arc::new(saboteur)).await;
    pipeline.recover().await.unwrap();
    pipeline
}

/// The entry file's text changed by `change`, as nginx will read it.
fn with_entry(folder: &Path, change: impl FnOnce(String) -> String) {
    let entry = folder.join("nginx.conf");
    let text = fs::read_to_string(&entry).unwrap();
    fs::write(&entry, change(text)).unwrap();
}

#[tokio::test]
async fn workers_that_die_at_birth_bring_the_old_release_back() {
    let site = Site::new();
    let mut pipeline = sabotaged(&site, |folder| {
        with_entry(folder, |text| {
            text + "working_directory /nonexistent/nxmesh;\n"
        });
    })
    .await;
    let failure = rolled_back(&mut pipeline, 2, &site.host("shop", "two")).await;
    assert_eq!(failure.code, code::GENERATION);
    assert!(
        failure.message.contains("cannot be respawned"),
        "{failure:?}"
    );
    assert!(!failure.retryable, "an outage is not repeated");
    nothing_happened(&site, &mut pipeline).await;
}

#[tokio::test]
async fn an_nginx_that_serves_something_else_is_brought_back() {
    let site = Site::new();
    // It loads, and answers with another release than the one it was given.
    let mut pipeline = sabotaged(&site, |folder| {
        with_entry(folder, |text| text.replace("1.2-", "1.1-"));
        let releases = names_in(&folder.join("releases"));
        let [first, second] = ["1.1-", "1.2-"].map(|prefix| {
            releases
                .iter()
                .find(|name| name.starts_with(prefix))
                .unwrap()
        });
        with_entry(folder, |text| {
            text.replace(&second.replace("1.2-", "1.1-"), first)
        });
    })
    .await;
    let failure = rolled_back(&mut pipeline, 2, &site.host("shop", "two")).await;
    assert_eq!(failure.code, code::PROBE);
    assert!(
        failure.message.contains("nginx serves release 1.1-"),
        "{failure:?}"
    );
    nothing_happened(&site, &mut pipeline).await;
}

#[tokio::test]
async fn a_release_that_cannot_be_written_touches_nothing() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: a small file system can only be mounted by root");
        return;
    }
    let site = Site::new();
    let mut pipeline = serving_one(&site).await;
    let releases = site.layout().releases();
    let kept = site.folder.path().join("kept");
    Command::new("cp")
        .arg("-a")
        .args([&releases, &kept])
        .status()
        .unwrap();
    let mount = Mount::small(&releases);
    Command::new("cp")
        .arg("-a")
        .arg(kept.join("."))
        .arg(&releases)
        .status()
        .unwrap();
    let before = names_in(&releases);
    let big: String = (0..64)
        .map(|index| host_on(site.port, &format!("h{index}"), &"x".repeat(3000)))
        .collect();
    let failure = rejected(&mut pipeline, 2, &big).await;
    assert_eq!(failure.code, code::STAGE);
    assert!(failure.retryable, "{failure:?}");
    assert!(failure.message.contains("No space left"), "{failure:?}");
    assert_eq!(names_in(&releases), before, "nothing is left behind");
    assert_eq!(site.get("shop").await, "200 one");
    assert!(pipeline.observe().await.serves_applied);
    drop(mount);
}

/// A file system of 256 KiB over a folder.
struct Mount(std::path::PathBuf);

impl Mount {
    fn small(folder: &Path) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,mode=0700", "nxmesh-test"])
            .arg(folder)
            .status()
            .unwrap();
        assert!(mounted.success());
        Self(folder.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status()
            .unwrap();
    }
}

/// A reload after which the release of version 2 serves what version 1 says,
/// under its own name.
fn swapping(site: &Site) -> Arc<dyn Reloader> {
    let swap: fn(&Path) = |folder| {
        let releases = folder.join("releases");
        let names = names_in(&releases);
        let find = |prefix: &str| names.iter().find(|name| name.starts_with(prefix)).unwrap();
        let (old, new) = (find("1.1-"), find("1.2-"));
        let http = fs::read_to_string(releases.join(new).join("http.conf")).unwrap();
        let swapped: String = http
            .lines()
            .map(|line| {
                if line.starts_with("include") {
                    line.replace(new.as_str(), old)
                } else {
                    line.to_owned()
                }
            })
            .map(|line| line + "\n")
            .collect();
        fs::write(releases.join(new).join("http.conf"), swapped).unwrap();
    };
    Arc::new(Saboteur::new(site, Some(swap), None))
}

#[tokio::test]
async fn a_host_that_shows_another_certificate_is_not_applied() {
    // Another server of the same name comes first: nginx ignores ours, and
    // says so in a warning only.
    let site = Site::new();
    let mut pipeline = site.up().await;
    let ours = crate::serving::tls_host(&site, "shop", 1);
    let theirs = crate::serving::tls_host(&site, "shop", 2);
    applied(&mut pipeline, 1, &theirs.documents).await;
    let Mode::Full(_) = &site.options.mode else {
        unreachable!()
    };
    drop(pipeline);
    let mut pipeline = site.open_with(swapping(&site)).await;
    pipeline.recover().await.unwrap();
    let same_port = ours
        .documents
        .replace(&ours.port.to_string(), &theirs.port.to_string());
    let failure = rolled_back(&mut pipeline, 2, &same_port).await;
    assert_eq!(failure.code, code::VIRTUAL_HOST);
    assert!(failure.message.contains("certificate"), "{failure:?}");
    assert_eq!(failure.resource.unwrap().to_string(), "VirtualHost/shop");
    assert_eq!(pipeline.applied().unwrap().version, version(1));
    assert!(pipeline.observe().await.serves_applied);
}

#[tokio::test]
async fn a_crash_does_not_spare_the_proof() {
    let site = Site::new();
    let theirs = crate::serving::tls_host(&site, "shop", 1);
    let ours = crate::serving::tls_host(&site, "shop", 2);
    let same_port = ours
        .documents
        .replace(&ours.port.to_string(), &theirs.port.to_string());
    drop(dies_between(&site, At::BeforeReload, &theirs.documents, &same_port).await);
    let mut pipeline = site.open_with(swapping(&site)).await;
    let recovered = pipeline.recover().await.unwrap();
    let failure = recovered.undone.unwrap();
    assert_eq!(failure.code, code::VIRTUAL_HOST);
    assert_eq!(pipeline.applied().unwrap().version, version(1));
    assert!(pipeline.observe().await.serves_applied);
}

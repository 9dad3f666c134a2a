//! What is applied is served.

use std::{fs, os::unix::fs::MetadataExt as _};

use nxmesh_agent_lib::{
    apply::{Progress, code},
    testkit::{RealNginx, stop_nginx_in},
};

use crate::site::{Site, applied, apply, eventually, host_on, names_in, rejected, target, version};

#[tokio::test]
async fn a_fresh_agent_starts_nginx_and_serves_what_is_applied() {
    let site = Site::new();
    let mut pipeline = site.open().await;
    assert_eq!(pipeline.accepted(), None);
    let recovered = pipeline.recover().await.unwrap();
    assert!(recovered.started && recovered.applied.is_none());
    let mut told = Vec::new();
    let documents = site.host("shop", "one");
    let outcome = pipeline
        .apply(target(1, &documents), &mut |progress| told.push(progress))
        .await;
    let nxmesh_agent_lib::apply::Outcome::Applied(first) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(first.reloaded);
    assert_eq!(told, [Progress::Received, Progress::Staged]);
    assert_eq!(site.get("shop").await, "200 one");
    assert_eq!(pipeline.applied().unwrap().version, version(1));
    assert_eq!(pipeline.running_digest().await, Some(first.release));
    for round in 2..6 {
        let text = format!("answer {round}");
        applied(&mut pipeline, round, &site.host("shop", &text)).await;
        for _ in 0..50 {
            assert_eq!(site.get("shop").await, format!("200 {text}"));
        }
    }
    let observed = pipeline.observe().await;
    assert!(observed.serves_applied, "{observed:?}");
    eventually("older releases are removed", || site.releases().len() == 3).await;
}

#[tokio::test]
async fn the_same_bytes_are_not_reloaded_but_looked_at() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    let documents = site.host("shop", "same");
    applied(&mut pipeline, 1, &documents).await;
    let before = pipeline.observe().await;
    for revision in [1, 2] {
        let again = applied(&mut pipeline, revision, &documents).await;
        assert!(!again.reloaded);
        assert_eq!(again.version, version(revision));
    }
    assert_eq!(pipeline.observe().await, before);
    // Not running any more, it is not taken on trust.
    stop_nginx_in(site.folder.path());
    assert!(applied(&mut pipeline, 3, &documents).await.reloaded);
    assert_eq!(site.get("shop").await, "200 same");
}

#[tokio::test]
async fn versions_never_go_back() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    applied(&mut pipeline, 5, &site.host("shop", "five")).await;
    let stale = rejected(&mut pipeline, 4, &site.host("shop", "four")).await;
    assert_eq!(stale.code, code::STALE);
    let conflict = rejected(&mut pipeline, 5, &site.host("shop", "other")).await;
    assert_eq!(conflict.code, code::CONFLICT);
    assert_eq!(site.get("shop").await, "200 five");
    drop(pipeline);
    let mut pipeline = site.up().await;
    assert_eq!(pipeline.accepted(), Some(version(5)));
    let stale = rejected(&mut pipeline, 4, &site.host("shop", "four")).await;
    assert_eq!(stale.code, code::STALE);
}

#[tokio::test]
async fn unchanged_files_are_linked_and_releases_do_not_change() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    let unchanged = site.host("still", "still");
    applied(&mut pipeline, 1, &(site.host("shop", "one") + &unchanged)).await;
    let first = site.layout().release(&pipeline.applied().unwrap().release);
    let files = |folder: &std::path::Path| -> Vec<(String, u64, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for name in names_in(&folder) {
                let path = folder.join(&name);
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let inode = fs::metadata(&path).unwrap().ino();
                    found.push((name, inode, fs::read(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    };
    let before = files(&first);
    applied(&mut pipeline, 2, &(site.host("shop", "two") + &unchanged)).await;
    let second = site.layout().release(&pipeline.applied().unwrap().release);
    assert_eq!(files(&first), before, "a release is never changed");
    let linked: Vec<String> = files(&second)
        .into_iter()
        .filter(|file| before.contains(file))
        .map(|(name, ..)| name)
        .collect();
    assert!(
        linked.iter().any(|name| name.contains("still")),
        "{linked:?}"
    );
    assert!(
        !linked.iter().any(|name| name.contains("shop")),
        "{linked:?}"
    );
}

#[tokio::test]
async fn a_corrupted_file_is_not_linked_into_the_next_release() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    let unchanged = site.host("still", "unaltered");
    applied(&mut pipeline, 1, &(site.host("shop", "one") + &unchanged)).await;
    let digest = pipeline.running_digest().await;
    assert_eq!(digest, Some(pipeline.applied().unwrap().release_digest));
    let release = site.layout().release(&pipeline.applied().unwrap().release);
    corrupt(&release, "unaltered", "falsified");
    assert_ne!(pipeline.running_digest().await, digest, "drift is seen");
    applied(&mut pipeline, 2, &(site.host("shop", "two") + &unchanged)).await;
    assert_eq!(site.get("still").await, "200 unaltered");
    assert!(pipeline.running_digest().await.is_some());
}

#[tokio::test]
async fn a_corrupted_release_is_made_anew_at_the_start() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    applied(&mut pipeline, 1, &site.host("shop", "right")).await;
    let release = site.layout().release(&pipeline.applied().unwrap().release);
    drop(pipeline);
    corrupt(&release, "right", "wrong");
    stop_nginx_in(site.folder.path());
    let pipeline = site.up().await;
    assert_eq!(site.get("shop").await, "200 right");
    assert!(pipeline.running_digest().await.is_some());
    assert!(pipeline.observe().await.serves_applied);
}

/// Changes a text in the files of a release in place.
fn corrupt(release: &std::path::Path, text: &str, with: &str) {
    let mut folders = vec![release.to_owned()];
    let mut changed = 0;
    while let Some(folder) = folders.pop() {
        for name in names_in(&folder) {
            let path = folder.join(name);
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let contents = fs::read_to_string(&path).unwrap();
            let corrupted = contents.replace(text, with);
            if corrupted != contents {
                fs::write(&path, corrupted).unwrap();
                changed += 1;
            }
        }
    }
    assert!(changed > 0, "nothing to corrupt in {}", release.display());
}

#[tokio::test]
async fn a_dead_nginx_is_started_by_an_apply() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    applied(&mut pipeline, 1, &site.host("shop", "one")).await;
    stop_nginx_in(site.folder.path());
    assert_eq!(pipeline.observe().await.generation, None);
    applied(&mut pipeline, 2, &site.host("shop", "two")).await;
    assert_eq!(site.get("shop").await, "200 two");
}

#[tokio::test]
async fn an_agent_without_its_master_starts_from_its_cache() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    let tls = tls_host(&site, "shop", 1);
    applied(&mut pipeline, 1, &tls.documents).await;
    drop(pipeline);
    stop_nginx_in(site.folder.path());
    // A reboot empties what lies in memory.
    fs::remove_dir_all(site.layout().runtime_dir()).unwrap();
    let mut pipeline = site.open().await;
    assert_eq!(
        pipeline.accepted_slice().unwrap().digest(),
        crate::site::slice(&tls.documents).digest()
    );
    let recovered = pipeline.recover().await.unwrap();
    assert!(recovered.started);
    assert_eq!(recovered.applied.unwrap().version, version(1));
    let again = applied(&mut pipeline, 1, &tls.documents).await;
    assert!(!again.reloaded);
}

pub(crate) struct TlsHost {
    pub(crate) documents: String,
    pub(crate) port: u16,
}

/// A host on a TLS port with a certificate of its own.
pub(crate) fn tls_host(site: &Site, name: &str, serial: u64) -> TlsHost {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec![format!("{name}.example")]).unwrap();
    parameters.serial_number = Some(serial.into());
    let certificate = parameters.self_signed(&key).unwrap();
    let indent = |pem: String| pem.replace('\n', "\n    ");
    let port = nxmesh_agent_lib::testkit::free_port();
    let documents = format!(
        "---\nkind: Certificate\nmetadata: {{ name: {name} }}\nspec:\n  certificate: |\n    {}\n  \
         private_key: |\n    {}\n---\nkind: VirtualHost\nmetadata: {{ name: {name} }}\nspec:\n  \
         server_names: [{name}.example]\n  tls: {{ certificate: {name} }}\n  listen:\n    \
         - {{ port: {port}, address: 127.0.0.1, tls: true }}\n    \
         - {{ port: {}, address: 127.0.0.1 }}\n  locations:\n    \
         - {{ path: /, respond: {{ status: 200, body: secure, content_type: text/plain }} }}\n",
        indent(certificate.pem()).trim_end(),
        indent(key.serialize_pem()).trim_end(),
        site.port,
    );
    TlsHost { documents, port }
}

#[tokio::test]
async fn a_certificate_is_served_and_its_key_is_private() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    let first = tls_host(&site, "shop", 1);
    applied(&mut pipeline, 1, &first.documents).await;
    let second = tls_host(&site, "shop", 2);
    applied(&mut pipeline, 2, &second.documents).await;
    let third = tls_host(&site, "shop", 3);
    applied(&mut pipeline, 3, &third.documents).await;
    assert_eq!(site.get("shop").await, "200 secure");
    let tls = site.layout().tls();
    for name in names_in(&tls) {
        let mode = fs::metadata(tls.join(&name)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let of_two = || names_in(&tls).len() <= 4;
    eventually("old certificates and keys are removed", of_two).await;
    // Nothing below the state folder holds a key.
    let mut folders = vec![site.layout().state_dir().to_owned()];
    while let Some(folder) = folders.pop() {
        for name in names_in(&folder) {
            let path = folder.join(name);
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                let contents = fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&contents);
                assert!(!text.contains("PRIVATE KEY"), "{}", path.display());
            }
        }
    }
    assert_ne!(first.port, third.port);
}

#[tokio::test]
async fn every_changed_host_is_there() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    let ports: Vec<u16> = (0..5)
        .map(|_| nxmesh_agent_lib::testkit::free_port())
        .collect();
    let documents: String = ports
        .iter()
        .enumerate()
        .map(|(index, port)| host_on(*port, &format!("h{index}"), "there"))
        .collect();
    applied(&mut pipeline, 1, &documents).await;
    for (index, port) in ports.iter().enumerate() {
        let answer = RealNginx::ask(*port, &format!("h{index}.example"), "/")
            .await
            .unwrap();
        assert_eq!(answer.1, "there");
    }
    // All gone again.
    applied(&mut pipeline, 2, "").await;
    assert!(RealNginx::ask(ports[0], "h0.example", "/").await.is_err());
}

#[tokio::test]
async fn a_second_agent_is_kept_out() {
    let site = Site::new();
    let pipeline = site.open().await;
    let second = nxmesh_agent_lib::apply::Pipeline::open(
        site.options.clone(),
        std::sync::Arc::new(nxmesh_render::HandlebarsRenderer::new()),
        std::sync::Arc::new(site.reloader()),
        nxmesh_agent_lib::cache::AtRestKey::new([7; 32]),
        std::sync::Arc::new(nxmesh_core::contract::clock::SystemClock),
    )
    .await;
    let error = second.expect_err("the lock is held");
    assert!(
        matches!(error, nxmesh_agent_lib::apply::PipelineError::Locked { .. }),
        "{error}"
    );
    drop(pipeline);
    let mut pipeline = site.up().await;
    let outcome = apply(&mut pipeline, 1, &site.host("shop", "one")).await;
    assert!(matches!(
        outcome,
        nxmesh_agent_lib::apply::Outcome::Applied(_)
    ));
}

#[tokio::test]
async fn a_reload_that_drops_connections_says_so() {
    let site = Site::new();
    let mut pipeline = site.up().await;
    let plain = site.host("shop", "one");
    let own = plain.replace(
        "address: 127.0.0.1 }",
        "address: 127.0.0.1, reuse_port: true }",
    );
    let first = applied(&mut pipeline, 1, &plain).await;
    assert_eq!(first.disruptions, []);
    let second = applied(&mut pipeline, 2, &own).await;
    let told: Vec<String> = second.disruptions.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("VirtualHost/shop: port "), "{told:?}");
    assert_eq!(site.get("shop").await, "200 one");
}

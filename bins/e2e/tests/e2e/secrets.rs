//! TLS virtual hosts, and where their keys may not be.

use std::fs;
use std::path::{Path, PathBuf};

use nxmesh_e2e::Cluster;
use nxmesh_e2e::certificate::SelfSigned;
use nxmesh_e2e::node::Node;

fn site(node: &Node, certificate: &SelfSigned) -> String {
    format!(
        "{}---\nkind: VirtualHost\nmetadata: {{ name: shop }}\nspec:\n  server_names: [shop.test]\n  \
         listen: [{{ port: {}, address: 127.0.0.1, tls: true, http2: true }}]\n  \
         tls: {{ certificate: shop-cert }}\n  \
         locations: [{{ path: /, respond: {{ status: 200, body: safe }} }}]\n",
        certificate.document("shop-cert"),
        node.https_port()
    )
}

#[test]
fn a_new_certificate_is_served_when_apply_returns_and_its_key_is_nowhere_in_plain() {
    let cluster = Cluster::start(1).unwrap();
    let node = &cluster.nodes[0];
    let mut keys = Vec::new();
    for _ in 0..5 {
        let certificate = SelfSigned::new("shop.test").unwrap();
        cluster
            .apply(&site(node, &certificate))
            .unwrap()
            .success()
            .unwrap();
        for _ in 0..4 {
            let response = node.https("shop.test", "/").get().unwrap();
            assert_eq!(response.text(), "safe");
            assert!(
                response.certificate == certificate.certificate_der,
                "an older certificate is served"
            );
        }
        keys.push(certificate.key_line().to_owned());
    }

    for (what, format) in [
        ("certificates", "json"),
        ("certificates", "yaml"),
        ("revisions", "json"),
    ] {
        let shown = cluster
            .ctl
            .run(&["get", what, "-o", format])
            .unwrap()
            .success()
            .unwrap();
        assert!(
            keys.iter().all(|key| !shown.text().contains(key)),
            "get {what} shows a key"
        );
    }
    let shown = cluster
        .ctl
        .run(&["get", "certificate", "shop-cert", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(shown["spec"]["private_key"], "***");

    // Only the folder that belongs on a tmpfs may hold a key that nginx can read.
    let runtime = node.folder().join("run");
    let mut searched = 0;
    for file in files_below(cluster.sandbox().path()) {
        if file.starts_with(&runtime) {
            continue;
        }
        let Ok(bytes) = fs::read(&file) else { continue };
        searched += 1;
        for key in &keys {
            let found = bytes
                .windows(key.len())
                .any(|window| window == key.as_bytes());
            assert!(!found, "a private key is in {}", file.display());
        }
    }
    assert!(searched > 10, "only {searched} files were searched");
}

/// Regular files, however deep.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

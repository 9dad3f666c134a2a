//! Agents that drive their nginx in other ways than by themselves.

use std::fs;
use std::process::Command;

use nxmesh_e2e::Cluster;
use nxmesh_e2e::node::Mode;
use nxmesh_e2e::sandbox::Sandbox;

/// Serves two versions of a site, and keeps the second when a third is refused.
pub(crate) fn serves_and_refuses(cluster: &Cluster) {
    let node = &cluster.nodes[0];
    for answer in ["first", "second"] {
        let documents = node.answering("shop", "shop.test", answer);
        cluster.apply(&documents).unwrap().success().unwrap();
        assert_eq!(node.http("shop.test", "/").get().unwrap().text(), answer);
    }
    let broken = node
        .answering("shop", "shop.test", "broken")
        .replace("127.0.0.1", "203.0.113.7");
    let outcome = cluster.apply(&broken).unwrap();
    assert_eq!(outcome.code, 9, "{}", outcome.text());
    assert!(outcome.text().contains("203.0.113.7"), "{}", outcome.text());
    assert_eq!(node.http("shop.test", "/").get().unwrap().text(), "second");
}

#[test]
fn the_operators_own_commands_do_all_of_it() {
    let mut cluster = Cluster::master_only(&Sandbox::new().unwrap()).unwrap();
    let admission = cluster.admission("node=n1").unwrap();
    let mut node = cluster.prepare_node("n1", Mode::Full, &admission).unwrap();
    let nginx = cluster.programs().nginx.display().to_string();
    let place = format!(
        "-p {0}/prefix/ -c {0}/state/nginx.conf",
        node.folder().display()
    );
    let log = node.folder().join("commands");
    let wrapper = node.folder().join("drive nginx");
    let script = format!(
        "#!/bin/sh\necho \"$1\" >> {}\nshift\nexec \"$@\"\n",
        log.display()
    );
    fs::write(&wrapper, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&wrapper, mode).unwrap();
    let command = |what: &str, arguments: &str| {
        let words = format!("{what} {nginx} {arguments}");
        let words: Vec<String> = words.split(' ').map(|word| format!("{word:?}")).collect();
        format!("[\"{}\", {}]", wrapper.display(), words.join(", "))
    };
    node.tell(&[
        "--reloader",
        "command",
        "--check-command",
        &command("check", "-t -q -e stderr -p {prefix}/ -c {conf}"),
        "--reload-command",
        &command("reload", &format!("{place} -s reload")),
        "--start-command",
        &command("start", &place),
    ]);
    node.start().unwrap();
    cluster.nodes.push(node);
    cluster.until_ready().unwrap();
    serves_and_refuses(&cluster);
    let log = fs::read_to_string(log).unwrap();
    for what in ["check", "reload", "start"] {
        assert!(log.lines().any(|line| line == what), "no {what} in {log}");
    }
}

#[test]
fn an_nginx_in_another_container_of_the_same_pod_is_driven() {
    if !nix::unistd::geteuid().is_root() {
        println!("not root: no namespaces can be made here");
        return;
    }
    let sandbox = Sandbox::new().unwrap();
    let mut cluster = Cluster::master_only(&sandbox).unwrap();
    let real = cluster.programs().nginx.clone();
    // Only nginx sees its binary.
    let image = sandbox.path().join("n1/image");
    cluster.use_nginx(image.join("nginx"));
    let admission = cluster.admission("node=n1").unwrap();
    let mut node = cluster
        .prepare_node("n1", Mode::Include, &admission)
        .unwrap();
    let folder = node.folder().to_owned();
    fs::create_dir(&image).unwrap();
    fs::write(folder.join("state/entry.conf"), "# No release yet.\n").unwrap();
    node.tell(&["--deployment-mode", "kubernetes_sidecar"]);
    // The agent's container is up first.
    node.start().unwrap();
    let script = format!(
        "mount -t tmpfs none {0}/image && cp {1} {0}/image/nginx && \
         exec {0}/image/nginx -p {0}/prefix -c {0}/nginx.conf -g 'daemon off;'",
        folder.display(),
        real.display()
    );
    let mut container = sandbox
        .spawn(Command::new("unshare").args(["--mount", "sh", "-c", &script]))
        .unwrap();
    cluster.nodes.push(node);
    cluster.until_ready().unwrap();
    assert!(!image.join("nginx").exists());
    serves_and_refuses(&cluster);
    assert!(
        container.try_wait().unwrap().is_none(),
        "nginx went on all the time"
    );
    container.kill().unwrap();
    container.wait().unwrap();
}

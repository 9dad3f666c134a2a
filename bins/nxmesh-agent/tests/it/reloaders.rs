//! What each reloader needs is looked at before it is needed.

use crate::agent;

/// Checks the settings of a fresh agent; what was said.
fn check(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let (code, _, stderr) =
        agent(&[&["config", "check", "--state-dir", state], arguments].concat());
    (code, stderr)
}

#[test]
fn programs_of_commands_have_to_be_there() {
    let command = |flag, words| check(&["--mode", "full", "--reloader", "command", flag, words]);
    let (code, stderr) = command("--reload-command", "/bin/true now");
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stderr) = command("--start-command", "no-such-program");
    assert_eq!(code, Some(3), "{stderr}");
    assert!(
        stderr.contains("the start command, no-such-program"),
        "{stderr}"
    );
    assert!(stderr.contains("absolute path"), "{stderr}");
}

#[test]
fn settings_of_another_reloader_are_not_passed_over() {
    let (code, stderr) = check(&["--mode", "full", "--reload-command", "/bin/true"]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("--reloader command"), "{stderr}");
}

#[test]
fn a_unit_is_looked_for_on_the_bus() {
    let bus = "unix:path=/nonexistent/bus";
    let (code, stderr) = check(&[
        "--mode",
        "full",
        "--reloader",
        "systemd",
        "--systemd-bus",
        bus,
    ]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("nginx.service"), "{stderr}");
    assert!(stderr.contains(bus), "{stderr}");
}

#[test]
fn a_container_is_named_and_its_engine_is_there() {
    let container =
        |more: &[&str]| check(&[&["--mode", "full", "--reloader", "container"], more].concat());
    let (code, stderr) = container(&[]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("--container NAME"), "{stderr}");
    let socket = "/nonexistent/docker.sock";
    let (code, stderr) = container(&["--container", "web", "--container-socket", socket]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains(socket), "{stderr}");
    assert!(stderr.contains("mount its socket"), "{stderr}");
}

#[test]
fn a_sidecar_is_seen_or_told_how_it_could_be() {
    let conf = "/nonexistent/nginx.conf";
    let (code, stderr) = check(&[
        "--deployment-mode",
        "kubernetes_sidecar",
        "--nginx-conf",
        conf,
    ]);
    assert_eq!(code, Some(3), "{stderr}");
    // Whether any nginx runs meanwhile is up to other tests.
    let none = stderr.contains("shareProcessNamespace: true");
    assert!(none || stderr.contains("under the same path"), "{stderr}");
}

#[tokio::test]
async fn an_nginx_beside_the_agent_is_asked_where_it_is() {
    // The binary is where only nginx sees it, as in another container.
    let nginx = nxmesh_agent_lib::testkit::RealNginx::new();
    let dir = nginx.dir().display();
    let image = nginx.dir().join("image");
    std::fs::create_dir(&image).unwrap();
    let script = format!(
        "set -e; mount -t tmpfs none {dir}/image; cp {} {dir}/image/nginx; \
         exec {dir}/image/nginx -p {dir} -c {dir}/nginx.conf -g 'daemon off;'",
        nginx.binary().display()
    );
    let mut container = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while nginx.get().await.is_err() && begun.elapsed().as_secs() < 30 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let binary = image.join("nginx");
    let (state, conf) = (nginx.dir().join("state"), nginx.conf());
    let (code, _, stderr) = agent(&[
        "config",
        "check",
        "--deployment-mode",
        "docker_sidecar",
        "--nginx-binary",
        binary.to_str().unwrap(),
        "--nginx-conf",
        conf.to_str().unwrap(),
        "--state-dir",
        state.to_str().unwrap(),
    ]);
    assert_eq!(code, Some(0), "{stderr}");
    nginx.kill();
    container.wait().unwrap();
}

//! The agent as a service: what it tells the service manager, and the user it runs as.

use std::os::unix::fs::chown;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use nxmesh_e2e::Cluster;
use nxmesh_e2e::node::Mode;
use nxmesh_e2e::sandbox::Sandbox;

use crate::reloaders::serves_and_refuses;

/// The service manager's end of `$NOTIFY_SOCKET` (sd_notify(3)).
struct Manager(UnixDatagram);

impl Manager {
    fn next(&self) -> String {
        let mut buffer = [0; 1024];
        let length = self.0.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn wait_for(&self, wanted: &str) {
        let begun = Instant::now();
        let mut heard = Vec::new();
        while begun.elapsed() < Duration::from_secs(60) {
            let said = self.next();
            if said.lines().any(|line| line == wanted) {
                return;
            }
            heard.push(said);
        }
        panic!("{wanted} was not told, but {heard:?}");
    }
}

#[test]
fn it_tells_when_it_is_ready_that_it_lives_and_when_it_stops() {
    let mut cluster = Cluster::master_only(&Sandbox::new().unwrap()).unwrap();
    let path = cluster.sandbox().path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    manager
        .0
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let admission = cluster.admission("node=n1").unwrap();
    let mut node = cluster.prepare_node("n1", Mode::Full, &admission).unwrap();
    node.set_variable("NOTIFY_SOCKET", path.to_str().unwrap());
    node.set_variable("WATCHDOG_USEC", "200000");
    node.start().unwrap();
    manager.wait_for("READY=1");
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    // A runtime that hangs tells nothing any more: so does a stopped process.
    let pid = node.process().unwrap().pid().to_string();
    let signal = |name: &str| {
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    signal("-STOP");
    manager
        .0
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let silent = |manager: &Manager| manager.0.recv(&mut [0; 1024]).is_err();
    while !silent(&manager) {}
    signal("-CONT");
    manager
        .0
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    manager.wait_for("WATCHDOG=1");
    node.stop().unwrap();
    manager.wait_for("STOPPING=1");
    cluster.nodes.push(node);
}

/// The capabilities of `nxmesh-agent.service`, from the file itself.
fn capabilities() -> Vec<String> {
    let unit = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../nxmesh-agent/nxmesh-agent.service"
    );
    let text = std::fs::read_to_string(unit).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = line.unwrap().split(' ');
    names
        .map(|name| name.strip_prefix("CAP_").unwrap().to_lowercase())
        .collect()
}

#[test]
fn as_a_user_of_its_own_it_has_all_the_rights_it_needs() {
    const NOBODY: u32 = 65534;
    if !nix::unistd::geteuid().is_root() {
        println!("not root: an nginx of root's cannot be started here");
        return;
    }
    let mut cluster = Cluster::master_only(&Sandbox::new().unwrap()).unwrap();
    let admission = cluster.admission("node=n1").unwrap();
    let mut node = cluster
        .prepare_node("n1", Mode::Include, &admission)
        .unwrap();
    let folder = node.folder().to_owned();
    // nginx is root's, as its own unit starts it, and so is a key in its configuration.
    std::fs::write(folder.join("state/entry.conf"), "# No release yet.\n").unwrap();
    let nginx = &cluster.programs().nginx;
    let conf = folder.join("nginx.conf");
    let prefix = folder.join("prefix");
    let started = Command::new(nginx)
        .arg("-c")
        .arg(&conf)
        .arg("-p")
        .arg(&prefix)
        .status();
    assert!(started.unwrap().success());
    for name in ["", "state", "state/entry.conf", "run"] {
        chown(folder.join(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let given: Vec<String> = capabilities()
        .iter()
        .map(|name| format!("+{name}"))
        .collect();
    let only = format!("-all,{}", given.join(","));
    let user = NOBODY.to_string();
    node.run_under(&[
        "setpriv",
        "--reuid",
        &user,
        "--regid",
        &user,
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set",
        &only,
        "--inh-caps",
        &only,
        "--ambient-caps",
        &only,
    ]);
    node.start().unwrap();
    cluster.nodes.push(node);
    cluster.until_ready().unwrap();
    // nginx's words are read from its error log, which is root's.
    serves_and_refuses(&cluster);
}

//! Ending an nginx that does not heed any more, and nothing else.

use std::{fs, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use nxmesh_agent_lib::{
    reload::SignalReloader,
    testkit::{RealNginx, freeze},
};
use nxmesh_core::{
    contract::reloader::{Generation, Reloader as _},
    testkit::reloader::DEADLINE,
};

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn pids(generation: &Generation) -> Vec<u32> {
    let master = std::iter::once(generation.master_pid);
    master.chain(generation.workers.iter().copied()).collect()
}

#[tokio::test]
async fn a_frozen_nginx_is_killed_with_its_workers_and_no_other() {
    let (frozen, other) = tokio::join!(RealNginx::start(), RealNginx::start());
    let reloader = frozen.reloader();
    let before = reloader.running().await.unwrap().unwrap();
    let beside = other.reloader().running().await.unwrap().unwrap();
    freeze(frozen.dir());
    // A pid file that leads astray.
    fs::write(frozen.pid_file(), other.pid().unwrap().to_string()).unwrap();
    reloader.stop(DEADLINE).await.expect("stop");
    for pid in pids(&before) {
        assert!(!is_alive(pid), "{pid} of {before:?}");
    }
    assert_eq!(reloader.running().await.unwrap(), None);
    assert_eq!(other.reloader().running().await.unwrap(), Some(beside));
    assert_eq!(other.get().await.unwrap(), "initial");
    fs::remove_file(frozen.pid_file()).unwrap();
    reloader.start(DEADLINE).await.expect("start");
    assert_eq!(frozen.get().await.unwrap(), "initial");
}

#[tokio::test]
async fn an_nginx_that_heeds_is_not_killed() {
    let nginx = RealNginx::start().await;
    nginx.reloader().stop(DEADLINE).await.expect("stop");
    // A master that is killed leaves its pid file.
    assert!(!nginx.pid_file().exists());
}

#[tokio::test]
async fn frozen_workers_of_a_killed_master_give_way_too() {
    let nginx = RealNginx::new();
    let socket = nginx.dir().join("probe");
    let probe = format!(
        "server {{ listen unix:{}; return 200 x; }}",
        socket.display()
    );
    let http = format!("{}\n{probe}", nginx.server("serves"));
    nginx.set_conf(&nginx.conf_with("", &http));
    let mut options = nginx.options();
    options.unix_sockets = vec![socket];
    let reloader = SignalReloader::new(options);
    let before = reloader.start(DEADLINE).await.expect("start");
    freeze(nginx.dir());
    let master = i32::try_from(before.master_pid).unwrap();
    kill(Pid::from_raw(master), Signal::SIGKILL).unwrap();
    let gone = async {
        while reloader.running().await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("it dies");
    let after = reloader.start(DEADLINE).await.expect("start again");
    assert!(after.replaces(&before));
    for pid in pids(&before) {
        assert!(!is_alive(pid), "{pid} of {before:?}");
    }
    assert_eq!(nginx.get().await.unwrap(), "serves");
}

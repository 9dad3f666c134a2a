//! `SystemdReloader`, a real bus and a real nginx.

mod fake;

use std::{sync::atomic::Ordering, time::Duration};

use nxmesh_agent_lib::{
    reload::{SystemdOptions, SystemdReloader, UnitReload},
    testkit::RealNginx,
};
use nxmesh_core::{
    contract::reloader::{ReloadError, Reloader as _},
    testkit::reloader::DEADLINE,
};

use self::fake::{FakeSystemd, UNIT};
use crate::rig::{Backend, Driven, deadly, orphans_serve_until_another_starts, probe};

fn options(nginx: &RealNginx, systemd: &FakeSystemd) -> SystemdOptions {
    SystemdOptions {
        nginx: nginx.options(),
        unit: UNIT.to_owned(),
        reload: UnitReload::Signal,
        bus: systemd.bus.address.clone(),
    }
}

/// A running unit and its reloader.
async fn running() -> (RealNginx, FakeSystemd, SystemdReloader) {
    let nginx = RealNginx::new();
    let systemd = FakeSystemd::start(&nginx).await;
    let reloader = SystemdReloader::new(options(&nginx, &systemd));
    reloader.start(DEADLINE).await.expect("the unit starts");
    (nginx, systemd, reloader)
}

mod by_signal {
    use super::*;

    #[derive(Debug)]
    struct BySignal;

    #[async_trait::async_trait]
    impl Backend for BySignal {
        type Subject = SystemdReloader;
        type Host = FakeSystemd;

        async fn begin(nginx: &RealNginx) -> (FakeSystemd, SystemdReloader) {
            let systemd = FakeSystemd::start(nginx).await;
            let reloader = SystemdReloader::new(options(nginx, &systemd));
            (systemd, reloader)
        }
    }

    nxmesh_core::reloader_conformance!(Driven<BySignal>);
}

mod by_unit {
    use super::*;

    #[derive(Debug)]
    struct ByUnit;

    #[async_trait::async_trait]
    impl Backend for ByUnit {
        type Subject = SystemdReloader;
        type Host = FakeSystemd;

        async fn begin(nginx: &RealNginx) -> (FakeSystemd, SystemdReloader) {
            let systemd = FakeSystemd::start(nginx).await;
            let reloader = SystemdReloader::new(SystemdOptions {
                reload: UnitReload::Unit,
                ..options(nginx, &systemd)
            });
            (systemd, reloader)
        }
    }

    nxmesh_core::reloader_conformance!(Driven<ByUnit>);
}

fn failure<T: std::fmt::Debug>(result: Result<T, ReloadError>) -> String {
    match result {
        Err(ReloadError::Backend {
            source,
            backend: "systemd",
            ..
        }) => source.to_string(),
        other => panic!("a failure of systemd was expected, there is {other:?}"),
    }
}

#[tokio::test]
async fn orphans_serve_on_while_the_unit_would_not_start() {
    let nginx = RealNginx::new();
    let systemd = FakeSystemd::start(&nginx).await;
    let mut options = options(&nginx, &systemd);
    options.nginx.unix_sockets = vec![probe(&nginx)];
    orphans_serve_until_another_starts(&nginx, &SystemdReloader::new(options)).await;
}

#[tokio::test]
async fn a_main_process_that_is_no_nginx_is_never_signalled() {
    let (nginx, systemd, reloader) = running().await;
    // SIGHUP would end it.
    let mut other = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    systemd.state.set_main_pid(other.id());
    let reloaded = reloader.reload(DEADLINE).await;
    assert!(
        matches!(reloaded, Err(ReloadError::NotRunning)),
        "{reloaded:?}"
    );
    let unmet = reloader.verify().await.unwrap_err();
    assert!(unmet.missing.contains("is no nginx"), "{unmet}");
    assert!(other.try_wait().unwrap().is_none(), "it was signalled");
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(nginx.get().await.unwrap(), "initial");
}

#[tokio::test]
async fn no_bus_is_told_with_its_address() {
    let (nginx, systemd, _) = running().await;
    let reloader = SystemdReloader::new(SystemdOptions {
        bus: "unix:path=/nonexistent/bus".to_owned(),
        ..options(&nginx, &systemd)
    });
    failure(reloader.running().await);
    failure(reloader.reload(DEADLINE).await);
    let unmet = reloader.verify().await.unwrap_err().to_string();
    assert!(unmet.contains("unix:path=/nonexistent/bus"), "{unmet}");
    assert!(unmet.contains("run by systemd"), "{unmet}");
    assert_eq!(nginx.get().await.unwrap(), "initial");
}

#[tokio::test]
async fn a_unit_that_cannot_be_used_is_told_with_the_remedy() {
    let (nginx, systemd, reloader) = running().await;
    reloader.verify().await.expect("all is there");
    let unknown = SystemdReloader::new(SystemdOptions {
        unit: "ngnix.service".to_owned(),
        ..options(&nginx, &systemd)
    });
    assert_eq!(unknown.running().await.unwrap(), None);
    let unmet = unknown.verify().await.unwrap_err().to_string();
    assert!(unmet.contains("ngnix.service: it is not-found"), "{unmet}");
    assert!(unmet.contains("--systemd-unit"), "{unmet}");

    *systemd.state.load_state.lock().unwrap() = "masked".to_owned();
    let unmet = reloader.verify().await.unwrap_err().to_string();
    assert!(unmet.contains("systemctl unmask"), "{unmet}");
}

#[tokio::test]
async fn a_unit_with_another_configuration_is_told() {
    let (nginx, systemd, _) = running().await;
    let mut options = options(&nginx, &systemd);
    options.nginx.conf = nginx.dir().join("other.conf");
    options.nginx.pid_file = None;
    let unmet = SystemdReloader::new(options).verify().await.unwrap_err();
    assert!(unmet.missing.contains("does not run"), "{unmet}");
    assert!(unmet.remedy.contains("ExecStart="), "{unmet}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_told() {
    let (nginx, systemd, _) = running().await;
    let reloader = SystemdReloader::new(SystemdOptions {
        reload: UnitReload::Unit,
        ..options(&nginx, &systemd)
    });
    systemd.state.denies.store(true, Ordering::SeqCst);
    let said = failure(reloader.reload(DEADLINE).await);
    assert!(
        said.contains("AccessDenied") && said.contains("polkit"),
        "{said}"
    );
    assert_eq!(nginx.get().await.unwrap(), "initial");
}

#[tokio::test]
async fn a_job_that_does_not_end_ends_the_wait_at_its_deadline() {
    let (nginx, systemd, _) = running().await;
    let reloader = SystemdReloader::new(SystemdOptions {
        reload: UnitReload::Unit,
        ..options(&nginx, &systemd)
    });
    systemd.state.stuck.store(true, Ordering::SeqCst);
    let said = failure(reloader.reload(Duration::from_millis(300)).await);
    assert!(said.contains("300ms"), "{said}");
    systemd.state.stuck.store(false, Ordering::SeqCst);
    nginx.set_answer("later");
    reloader.reload(DEADLINE).await.expect("the next job ends");
    assert_eq!(nginx.get().await.unwrap(), "later");
}

#[tokio::test]
async fn a_bus_that_comes_back_is_used_again() {
    let (nginx, systemd, _) = running().await;
    let reloader = SystemdReloader::new(SystemdOptions {
        reload: UnitReload::Unit,
        ..options(&nginx, &systemd)
    });
    let before = reloader.running().await.unwrap().unwrap();
    let _systemd = systemd.restart_bus(&nginx).await;
    // The call that finds the old connection broken may fail; none after it.
    reloader.running().await.ok();
    assert_eq!(reloader.running().await.unwrap(), Some(before));
    nginx.set_answer("after");
    reloader.reload(DEADLINE).await.expect("reload");
    assert_eq!(nginx.get().await.unwrap(), "after");
}

#[tokio::test]
async fn workers_that_die_are_no_success_of_the_unit() {
    let (nginx, _systemd, reloader) = running().await;
    nginx.set_conf(&deadly(&nginx));
    let said = failure(reloader.reload(DEADLINE).await);
    assert!(said.contains("cannot be respawned"), "{said}");
    nginx.set_answer("back");
    reloader.reload(DEADLINE).await.expect("the outage ends");
    assert_eq!(nginx.get().await.unwrap(), "back");
}

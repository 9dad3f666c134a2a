//! nginx hangs, dies or does not stay up.

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use nxmesh_agent_lib::{
    testkit::ScriptedMaster,
    watchdog::{BreakerOptions, WatchdogOptions},
};
use nxmesh_core::wire::{ConfigPhase, HealthReport};

use crate::rig::{Rig, RunningAgent, site, version};

/// An agent whose nginx serves `alive`.
async fn serving(rig: &Rig, watchdog: WatchdogOptions) -> (ScriptedMaster, RunningAgent) {
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start_with(transport, |options| options.control.watchdog = watchdog);
    master.desire(version(1), &site(rig.port, "alive"));
    master
        .status(version(1), ConfigPhase::Applied)
        .await
        .unwrap();
    agent
        .reached(|status| status.nginx.master_pid.is_some())
        .await;
    (master, agent)
}

async fn told(master: &ScriptedMaster, mut health: impl FnMut(&HealthReport) -> bool) {
    let told = master.wait_for(|heard| heard.health.last().filter(|it| health(it)).cloned());
    told.await.unwrap();
}

#[tokio::test]
async fn an_nginx_that_hangs_is_restarted_and_serves_the_confirmed_release() {
    let rig = Rig::new();
    let (master, mut agent) = serving(&rig, WatchdogOptions::default()).await;
    let before = agent.reached(|status| status.nginx.running).await.nginx;
    rig.freeze_nginx();
    let hangs = agent
        .reached(|status| status.nginx.silent_since.is_some())
        .await;
    assert_eq!(hangs.nginx.master_pid, before.master_pid);
    assert_eq!(hangs.nginx.restarts, 0, "not at the first doubt");
    told(&master, |health| {
        health.nginx_running && health.nginx_silent_since > 0
    })
    .await;
    let after = agent.reached(|status| status.nginx.restarts == 1).await;
    assert_ne!(after.nginx.master_pid, before.master_pid);
    assert_eq!(after.nginx.silent_since, None);
    assert_eq!(after.applied, Some(version(1)));
    assert_eq!(rig.get().await, (200, "alive".to_owned()));
    told(&master, |health| {
        health.nginx_restarts == 1 && health.nginx_silent_since == 0
    })
    .await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_offer_waits_until_a_hanging_nginx_is_restarted() {
    let rig = Rig::new();
    let (master, mut agent) = serving(&rig, WatchdogOptions::default()).await;
    rig.freeze_nginx();
    agent
        .reached(|status| status.nginx.silent_since.is_some())
        .await;
    master.desire(version(2), &site(rig.port, "cured"));
    master
        .status(version(2), ConfigPhase::Applied)
        .await
        .unwrap();
    assert_eq!(rig.get().await, (200, "cured".to_owned()));
    let failed = |status: &&nxmesh_core::wire::ConfigStatus| status.failure.is_some();
    assert_eq!(master.heard().statuses.iter().find(failed), None);
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_master_process_that_is_killed_leaves_no_orphans_for_long() {
    let rig = Rig::new();
    let (_master, mut agent) = serving(&rig, WatchdogOptions::default()).await;
    for frozen in [false, true] {
        let before = agent.reached(|status| status.nginx.running).await.nginx;
        if frozen {
            rig.freeze_nginx();
        }
        let pid = before.master_pid.unwrap();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
        agent
            .reached(|status| {
                let now = status.nginx.master_pid;
                now.is_some() && now != before.master_pid
            })
            .await;
        for _ in 0..20 {
            assert_eq!(rig.get().await, (200, "alive".to_owned()));
        }
        assert_eq!(rig.orphans(), 0, "frozen: {frozen}");
    }
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_nginx_that_does_not_stay_up_is_restarted_from_time_to_time_only() {
    let rig = Rig::new();
    let breaker = BreakerOptions {
        restarts: 2,
        window: Duration::from_secs(600),
        retry: Duration::from_secs(4),
    };
    let options = WatchdogOptions {
        breaker,
        ..WatchdogOptions::default()
    };
    let (master, mut agent) = serving(&rig, options).await;
    for restarts in 1..=3 {
        rig.kill_nginx();
        agent
            .reached(|status| status.nginx.restarts == restarts && status.nginx.running)
            .await;
    }
    let open = agent
        .reached(|status| status.nginx.breaker.is_some())
        .await
        .nginx
        .breaker
        .unwrap();
    assert_eq!(open.next_try, open.since + 4000);
    told(&master, |health| {
        health.restarts_held_back_since == open.since
    })
    .await;
    rig.kill_nginx();
    agent.reached(|status| !status.nginx.running).await;
    let back = agent.reached(|status| status.nginx.restarts == 4).await;
    let again = back.nginx.breaker.unwrap();
    assert_eq!(again.since, open.since);
    assert!(again.next_try >= open.next_try + 4000, "{open:?} {again:?}");
    // No more trouble: it closes.
    agent.reached(|status| status.nginx.breaker.is_none()).await;
    told(&master, |health| health.restarts_held_back_since == 0).await;
    assert_eq!(rig.get().await, (200, "alive".to_owned()));
    agent.stop().await.unwrap();
}

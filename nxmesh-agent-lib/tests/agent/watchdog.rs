//! nginx hangs, dies or does not stay up.

use std::time::Duration;

use async_trait::async_trait;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use nxmesh_agent_lib::{
    Agent,
    reload::SignalReloader,
    testkit::ScriptedMaster,
    watchdog::{BreakerOptions, WatchdogOptions},
};
use nxmesh_core::{
    contract::reloader::{Candidate, Generation, ReloadError, Reloader},
    wire::HealthReport,
};

use crate::rig::{Rig, RunningAgent, applied, site, version};

/// An agent whose nginx serves `alive`.
async fn serving(rig: &Rig, watchdog: WatchdogOptions) -> (ScriptedMaster, RunningAgent) {
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start_with(transport, |options| options.control.watchdog = watchdog);
    applied(&master, 1, &site(rig.port, "alive")).await;
    agent
        .reached(|status| status.nginx.master_pid.is_some())
        .await;
    (master, agent)
}

async fn told(master: &ScriptedMaster, mut health: impl FnMut(&HealthReport) -> bool) {
    let told = master.wait_for(|heard| heard.health.last().filter(|it| health(it)).cloned());
    told.await.unwrap();
}

/// Drives nginx, and cannot make it go on.
#[derive(Debug)]
struct Deaf(SignalReloader);

#[async_trait]
impl Reloader for Deaf {
    fn backend(&self) -> &'static str {
        "deaf"
    }

    async fn check(&self, candidate: &Candidate, deadline: Duration) -> Result<(), ReloadError> {
        self.0.check(candidate, deadline).await
    }

    async fn reload(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        self.0.reload(deadline).await
    }

    async fn start(&self, deadline: Duration) -> Result<Generation, ReloadError> {
        self.0.start(deadline).await
    }

    async fn would_start(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.0.would_start(deadline).await
    }

    async fn stop(&self, deadline: Duration) -> Result<(), ReloadError> {
        self.0.stop(deadline).await
    }

    async fn running(&self) -> Result<Option<Generation>, ReloadError> {
        self.0.running().await
    }
}

#[tokio::test]
async fn an_nginx_that_hangs_is_restarted_and_serves_the_confirmed_release() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = Agent::builder(rig.options()).transport(transport);
    let mut agent = Rig::run(agent.reloader(Deaf(rig.reloader())));
    applied(&master, 1, &site(rig.port, "alive")).await;
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

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

#[tokio::test]
async fn what_somebody_stopped_goes_on_and_drops_no_request() {
    let rig = Rig::new();
    let (_master, mut agent) = serving(&rig, WatchdogOptions::default()).await;
    agent.reached(|status| status.nginx.workers > 0).await;
    let workers = rig.workers();
    let master = agent.reached(|_| true).await.nginx.master_pid.unwrap();
    let stopped: [Vec<u32>; 3] = [
        vec![master],
        workers.iter().copied().take(1).collect(),
        workers.iter().copied().chain([master]).collect(),
    ];
    for (count, pids) in (1..).zip(&stopped) {
        pids.iter().for_each(|pid| send(*pid, Signal::SIGSTOP));
        agent
            .reached(|status| status.nginx.silent_since.is_some())
            .await;
        let back = agent.reached(|status| status.nginx.restarts == count).await;
        assert_eq!(back.nginx.silent_since, None);
        assert_eq!(back.nginx.master_pid, Some(master));
        assert_eq!(rig.workers(), workers, "they serve on");
        assert_eq!(rig.get().await, (200, "alive".to_owned()));
    }
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_offer_does_not_wait_for_a_master_process_that_was_stopped_a_moment_ago() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start_with(transport, |options| {
        // It does not look by itself.
        options.control.observe_interval = Duration::from_secs(3600);
    });
    applied(&master, 1, &site(rig.port, "alive")).await;
    let running = agent.reached(|status| status.nginx.master_pid.is_some());
    let pid = running.await.nginx.master_pid.unwrap();
    send(pid, Signal::SIGSTOP);
    applied(&master, 2, &site(rig.port, "cured")).await;
    assert_eq!(rig.get().await, (200, "cured".to_owned()));
    let failed = |status: &&nxmesh_core::wire::ConfigStatus| status.failure.is_some();
    assert_eq!(master.heard().statuses.iter().find(failed), None);
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
    applied(&master, 2, &site(rig.port, "cured")).await;
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
        send(pid, Signal::SIGKILL);
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
async fn what_a_killed_master_leaves_serves_until_another_can_start() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let binary = rig.own_binary();
    let mut options = rig.options();
    // It counts what disturbs, and this does not.
    options.control.watchdog.breaker.restarts = 1;
    let agent = Agent::builder(options).transport(transport);
    let mut agent = Rig::run(agent.reloader(rig.reloader_with(binary.0.clone())));
    applied(&master, 1, &site(rig.port, "alive")).await;
    let before = agent.reached(|status| status.nginx.running).await.nginx;
    binary.break_it();
    send(before.master_pid.unwrap(), Signal::SIGKILL);
    let tells = |status: &nxmesh_agent_lib::AgentStatus| {
        let problem = status.nginx.problem.as_deref();
        problem.is_some_and(|it| it.contains("serve on") && it.contains("-t -c"))
    };
    agent.reached(tells).await;
    told(&master, |health| {
        !health.nginx_running && health.running_digest.is_empty()
    })
    .await;
    // Through some attempts.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        assert_eq!(rig.get().await, (200, "alive".to_owned()));
    }
    assert!(rig.orphans() > 0);
    let status = agent.reached(tells).await;
    assert_eq!(status.nginx.breaker, None, "{status:?}");
    binary.mend();
    agent
        .reached(|status| status.nginx.running && status.nginx.problem.is_none())
        .await;
    assert_eq!(rig.get().await, (200, "alive".to_owned()));
    assert_eq!(rig.orphans(), 0);
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_nginx_that_hangs_is_not_ended_while_another_would_not_start() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let binary = rig.own_binary();
    let agent = Agent::builder(rig.options()).transport(transport);
    let reloader = Deaf(rig.reloader_with(binary.0.clone()));
    let mut agent = Rig::run(agent.reloader(reloader));
    applied(&master, 1, &site(rig.port, "alive")).await;
    let before = agent.reached(|status| status.nginx.running).await.nginx;
    binary.break_it();
    rig.freeze_nginx();
    let problem = |status: &nxmesh_agent_lib::AgentStatus| {
        let problem = status.nginx.problem.as_deref();
        problem.is_some_and(|it| it.contains("would not start again"))
    };
    let after = agent.reached(problem).await.nginx;
    assert_eq!(after.master_pid, before.master_pid);
    binary.mend();
    agent.reached(|status| status.nginx.restarts == 1).await;
    assert_eq!(rig.get().await, (200, "alive".to_owned()));
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

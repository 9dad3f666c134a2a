//! The whole agent: a master in memory, a real nginx, and what people rely on.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "that is how tests fail"
)]

mod commands;
mod drift;
mod health;
mod island;
mod metrics;
mod rig;
mod upstreams;
mod watchdog;
mod wire;

use std::time::Duration;

use nxmesh_agent_lib::{
    Agent, AgentError, AgentStatus, BootstrapToken, ConnectionState, StatusError,
    testkit::{RealNginx, ScriptedMaster},
};
use nxmesh_core::wire::{Command, CommandKind, ConfigPhase};
use rig::{Rig, applied, site, version};

#[tokio::test]
async fn an_update_is_served_when_it_is_said_to_be_applied() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start(transport);
    for revision in 1..=3 {
        let answer = format!("answer {revision}");
        let slice = site(rig.port, &answer);
        master.desire(version(revision), &slice);
        let status = master
            .status(version(revision), ConfigPhase::Applied)
            .await
            .unwrap();
        assert_eq!(rig.get().await, (200, answer));
        assert_eq!(status.digest[..], slice.digest().as_bytes()[..]);
        assert_eq!(status.applied, status.version);
        assert!(!status.running_digest.is_empty());
        assert!(!status.durations.is_empty());
    }
    // The master may not hear of a phase that was over at once.
    let all = [
        ConfigPhase::Received,
        ConfigPhase::Staged,
        ConfigPhase::Applied,
    ];
    for revision in 1..=3 {
        let statuses = master.heard().statuses;
        let heard: Vec<_> = statuses
            .iter()
            .filter(|status| status.version.unwrap().revision == revision)
            .map(|status| status.phase())
            .collect();
        let mut remaining = all.iter();
        assert!(
            heard.iter().all(|phase| remaining.any(|it| it == phase)),
            "{heard:?}"
        );
    }
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn what_nginx_refuses_is_rejected_in_its_words_and_the_old_one_serves() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start(transport);
    master.desire(version(1), &site(rig.port, "old"));
    let good = master
        .status(version(1), ConfigPhase::Applied)
        .await
        .unwrap();

    // A name that resolves nowhere is refused by `nginx -t`.
    master.desire(version(2), &rig::unresolvable(rig.port));
    let bad = master
        .status(version(2), ConfigPhase::Rejected)
        .await
        .unwrap();
    let failure = bad.failure.unwrap();
    assert!(failure.message.contains("host not found"), "{failure:?}");
    assert_eq!(bad.applied, good.applied);
    assert_eq!(bad.running_digest, good.running_digest);
    assert_eq!(rig.get().await, (200, "old".to_owned()));
    let known = AgentStatus::of_running(&rig.state_dir()).await.unwrap();
    assert_eq!(known.applied, Some(version(1)));
    assert_eq!(known.failure.unwrap().version, version(2));

    applied(&master, 3, &site(rig.port, "new")).await;
    assert_eq!(rig.get().await, (200, "new".to_owned()));
    let known = AgentStatus::of_running(&rig.state_dir()).await.unwrap();
    assert_eq!(known.failure, None);
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn offers_and_deltas_arrive_as_whole_updates_do() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start(transport);
    let first = site(rig.port, "first");
    master.desire_by_offer(version(1), &first);
    master
        .status(version(1), ConfigPhase::Applied)
        .await
        .unwrap();
    assert_eq!(master.heard().fetched.len(), 1);

    let second = site(rig.port, "second");
    master.desire_by_delta(version(2), &first, &second);
    master
        .status(version(2), ConfigPhase::Applied)
        .await
        .unwrap();
    assert_eq!(rig.get().await, (200, "second".to_owned()));

    // A delta to what the agent no longer has is not guessed at.
    master.desire_by_delta(version(3), &first, &second);
    let refused = master
        .status(version(3), ConfigPhase::Rejected)
        .await
        .unwrap();
    let failure = refused.failure.unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.retryable),
        ("NX-WIRE-002", true)
    );
    assert_eq!(rig.get().await, (200, "second".to_owned()));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn with_the_master_away_the_cache_serves() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start(transport.clone());
    applied(&master, 1, &site(rig.port, "cached")).await;
    agent.stop().await.unwrap();
    rig.kill_nginx();
    assert!(rig.ask().await.is_err());

    master.go_away();
    let mut agent = rig.start(transport);
    let status = agent.reached(|status| status.ready).await;
    assert_ne!(status.connection.state, ConnectionState::Ready);
    assert_eq!(status.applied, Some(version(1)));
    assert_eq!(rig.get().await, (200, "cached".to_owned()));

    // Back again, it is told the truth and has nothing to send.
    let before = master.heard().hellos.len();
    master.come_back();
    let hello = master
        .wait_for(|heard| heard.hellos.get(before).cloned())
        .await
        .unwrap();
    assert_eq!(hello.applied.unwrap().revision, 1);
    assert_eq!(
        hello.applied_digest[..],
        site(rig.port, "cached").digest().as_bytes()[..]
    );
    assert_eq!(hello.running_digest, status.running.unwrap().to_string());
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_nginx_comes_back() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport);
    applied(&master, 1, &site(rig.port, "alive")).await;
    let killed = agent
        .reached(|status| status.nginx.master_pid.is_some())
        .await;
    rig.kill_nginx();
    agent
        .reached(|status| {
            let pid = status.nginx.master_pid;
            pid.is_some() && pid != killed.nginx.master_pid
        })
        .await;
    assert_eq!(rig.get().await, (200, "alive".to_owned()));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_lost_enrolment_reply_is_asked_for_again() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    master.lose_enrolment_replies(2);
    let agent = rig.start(transport.clone());
    master
        .wait_for(|heard| heard.hellos.first().cloned())
        .await
        .unwrap();
    let enrolments = master.heard().enrolments;
    assert_eq!(enrolments.len(), 3);
    assert!(
        enrolments
            .iter()
            .all(|asked| asked.install_id == enrolments[0].install_id)
    );
    assert_eq!(enrolments[0].labels["env"], "test");
    agent.stop().await.unwrap();

    // Enrolled is enrolled, also without the token.
    let agent = rig.start_with(transport, |options| options.bootstrap_token = None);
    let numbers = master
        .wait_for(|heard| {
            let numbers: Vec<u64> = heard
                .hellos
                .iter()
                .map(|hello| hello.connection_sequence)
                .collect();
            (numbers.len() == 2).then_some(numbers)
        })
        .await
        .unwrap();
    assert!(numbers[0] < numbers[1], "{numbers:?}");
    assert_ne!(
        master.heard().hellos[0].boot_id,
        master.heard().hellos[1].boot_id
    );
    assert_eq!(master.heard().enrolments.len(), 3);
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_refused_token_ends_the_agent_with_the_masters_words() {
    let rig = Rig::new();
    let (_master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport.clone(), |options| {
        options.bootstrap_token = Some(BootstrapToken::new("wrong"));
    });
    let error = agent.ended().await.unwrap_err();
    assert!(
        matches!(&error, AgentError::EnrolmentRefused { reason } if reason.contains("not valid")),
        "{error}"
    );
    let agent = rig.start_with(transport, |options| options.bootstrap_token = None);
    let error = agent.ended().await.unwrap_err();
    assert!(matches!(error, AgentError::NotEnrolled), "{error}");
}

#[tokio::test]
async fn the_first_contact_needs_an_authority() {
    let rig = Rig::new();
    let mut options = rig.options();
    options.master_urls = vec!["https://localhost:1".parse().unwrap()];
    let agent = Agent::builder(options)
        .reloader(rig.reloader())
        .build()
        .unwrap();
    let error = agent.run(Default::default()).await.unwrap_err();
    assert!(error.to_string().contains("--master-ca"), "{error}");
}

#[tokio::test]
async fn commands_are_answered() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport);
    applied(&master, 1, &site(rig.port, "up")).await;
    agent.reached(|status| status.nginx.running).await;
    for (id, kind, deadline, works) in [
        ("1", CommandKind::Reload, 0, true),
        ("2", CommandKind::Recheck, 0, true),
        ("3", CommandKind::Reload, 1, false),
        ("4", CommandKind::CommandUnspecified, 0, false),
    ] {
        master.command(Command {
            id: id.to_owned(),
            deadline,
            kind: kind.into(),
            ..Command::default()
        });
        let result = master
            .wait_for(|heard| heard.results.iter().find(|result| result.id == id).cloned())
            .await
            .unwrap();
        assert_eq!(result.ok, works, "{result:?}");
    }
    assert_eq!(rig.get().await, (200, "up".to_owned()));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn the_status_is_that_of_a_living_agent() {
    let rig = Rig::new();
    let asked = AgentStatus::of_running(&rig.state_dir()).await;
    assert!(
        matches!(asked, Err(StatusError::NotRunning { .. })),
        "{asked:?}"
    );
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport);
    agent
        .reached(|status| status.connection.state == ConnectionState::Ready)
        .await;
    let known = AgentStatus::of_running(&rig.state_dir()).await.unwrap();
    assert_eq!(known.pid, std::process::id());
    assert_eq!(known.agent_id.unwrap().as_str(), ScriptedMaster::AGENT_ID);
    // A second agent on the same folder would be a disaster.
    let (_, elsewhere) = ScriptedMaster::start();
    let error = rig.start(elsewhere).ended().await.unwrap_err();
    assert!(matches!(error, AgentError::Pipeline(_)), "{error}");
    drop(agent);
    drop(master);
    let gone = async {
        while AgentStatus::of_running(&rig.state_dir()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .unwrap();
}

/// Waits until the master heard that the agent is at work on a version.
async fn taken_on(master: &ScriptedMaster, revision: u64) {
    let on_the_way = [ConfigPhase::Received, ConfigPhase::Staged];
    master
        .wait_for(|heard| {
            let mut statuses = heard.statuses.iter();
            statuses
                .find(|status| {
                    status.version.unwrap().revision == revision
                        && on_the_way.contains(&status.phase())
                })
                .cloned()
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn an_apply_under_way_is_finished_by_a_stop() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start(transport);
    applied(&master, 1, &site(rig.port, "before")).await;
    master.desire(version(2), &site(rig.port, "after"));
    taken_on(&master, 2).await;
    agent.stop().await.unwrap();
    // The master heard of it, too: the stop waits for the last words.
    let heard = master.heard().statuses;
    let last = heard.last().unwrap();
    assert_eq!(last.version.unwrap().revision, 2, "{last:?}");
    assert_eq!(last.phase(), ConfigPhase::Applied, "{last:?}");
    assert_eq!(rig.get().await, (200, "after".to_owned()));
}

#[tokio::test]
async fn what_was_taken_on_is_finished_without_the_master() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start(transport.clone());
    applied(&master, 1, &site(rig.port, "before")).await;
    // Taken on, and refused: its port belongs to somebody else.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    master.desire(version(2), &site(port, "after"));
    taken_on(&master, 2).await;
    agent.stop().await.unwrap();
    assert_eq!(rig.get().await, (200, "before".to_owned()));

    master.go_away();
    drop(taken);
    let mut agent = rig.start(transport);
    agent
        .reached(|status| status.applied == Some(version(2)))
        .await;
    let (_, body) = RealNginx::ask(port, "site.example", "/").await.unwrap();
    assert_eq!(body, "after");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_nginx_that_cannot_start_is_tried_until_it_can() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start(transport.clone());
    applied(&master, 1, &site(rig.port, "back")).await;
    agent.stop().await.unwrap();
    rig.kill_nginx();
    let intruder = std::net::TcpListener::bind(("127.0.0.1", rig.port)).unwrap();

    let mut agent = rig.start(transport);
    let status = agent.reached(|status| status.nginx.problem.is_some()).await;
    assert!(!status.ready && !status.nginx.running, "{status:#?}");
    let problem = status.nginx.problem.unwrap();
    assert!(problem.contains("Address already in use"), "{problem}");
    // The master is told all the same.
    master
        .wait_for(|heard| heard.hellos.get(1).cloned())
        .await
        .unwrap();

    drop(intruder);
    let status = agent
        .reached(|status| status.ready && status.nginx.running)
        .await;
    assert_eq!(status.nginx.problem, None);
    assert_eq!(rig.get().await, (200, "back".to_owned()));
    master
        .wait_for(|heard| {
            heard
                .health
                .iter()
                .find(|health| health.nginx_running)
                .cloned()
        })
        .await
        .unwrap();
    agent.stop().await.unwrap();
}

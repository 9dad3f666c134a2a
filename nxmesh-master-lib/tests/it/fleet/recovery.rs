use std::{sync::Arc, time::Duration};

use nxmesh_core::{
    api::ProgressState, contract::storage::Storage, memory::MemoryStorage, wire::ConfigPhase,
};
use nxmesh_master_lib::coordination::FleetOptions;
use tonic::Code;

use super::{Hello, Master, conversation::failure, holey::Holey, workspace};

const A_WHILE: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn a_master_that_dies_right_after_a_write_loses_nothing() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let first = Master::on(Arc::clone(&storage)).await;
    let mut agent = first.agent(&[]).await;
    let mut session = agent.connect(&first, Hello::fresh()).await;
    first.put("shop", "one").await;
    let update = session.update().await;
    session.apply(&update).await;
    first.settled(update.version).await;
    let revision = first.put("shop", "two").await;
    drop(first);

    let second = Master::on(storage).await;
    let mut session = agent.connect(&second, Hello::applied(&update)).await;
    let next = session.update().await;
    assert_eq!(next.version, revision);
    session.apply(&next).await;
    assert_eq!(
        second.settled(revision).await.agents[0].state,
        ProgressState::Applied
    );
}

#[tokio::test(start_paused = true)]
async fn what_agents_told_outlives_the_master() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let first = Master::on(Arc::clone(&storage)).await;
    let mut agent = first.agent(&[]).await;
    let mut session = agent.connect(&first, Hello::fresh()).await;
    first.put("shop", "one").await;
    let update = session.update().await;
    session.apply(&update).await;
    let bad = first.put("shop", "bad").await;
    let refused = session.update().await;
    session.tell(&refused, ConfigPhase::Received).await;
    session
        .tell_failure(&refused, ConfigPhase::Rejected, failure(false))
        .await;
    first.settled(bad).await;
    let before = first.view(&agent).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop((first, session));

    let second = Master::on(storage).await;
    let after = second.view(&agent).await;
    assert!(!after.connected);
    assert_eq!(
        (
            after.sent,
            after.staged,
            after.applied,
            &after.failure,
            &after.hostname
        ),
        (
            before.sent,
            before.staged,
            before.applied,
            &before.failure,
            &before.hostname
        ),
    );
    assert_eq!(
        second.rollout(bad).await.agents[0].state,
        ProgressState::Rejected
    );
    // What was refused for good is not tried again by another master.
    let hello = Hello {
        accepted: Some(bad),
        ..Hello::applied(&update)
    };
    let mut session = agent.connect(&second, hello).await;
    session.is_left_alone(A_WHILE).await;
}

/// What is stored on the way out is everything.
#[tokio::test(start_paused = true)]
async fn stopping_stores_what_was_told_last() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let master = Master::idle(Arc::clone(&storage), FleetOptions::default()).await;
    let (fleet, stop) = (master.fleet.clone(), master.stop.clone());
    let running = tokio::spawn(async move { fleet.run(stop).await });
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    master.put("shop", "one").await;
    let update = session.update().await;
    session.apply(&update).await;
    master.settled(update.version).await;
    master.stop.cancel();
    running.await.unwrap();
    assert_eq!(session.ended().await.code(), Code::Unavailable);
    let mut unit = storage.read().await.unwrap();
    let record = unit.agents().get(&agent.id).await.unwrap().unwrap();
    assert_eq!(record.facts.applied.unwrap().revision, update.version);
}

/// Whatever an agent took on, nothing older is offered.
#[tokio::test(start_paused = true)]
async fn nothing_older_than_accepted_is_offered() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let first = Master::on(Arc::clone(&storage)).await;
    let mut agent = first.agent(&[("env", "prod")]).await;
    let mut session = agent.connect(&first, Hello::fresh()).await;
    let kept = first.put("shop", "kept").await;
    let update = session.update().await;
    session.apply(&update).await;
    let key = "VirtualHost/blog".parse().unwrap();
    first.put("blog", "gone soon").await;
    let with_blog = session.update().await;
    session.apply(&with_blog).await;
    first.settled(with_blog.version).await;
    let removal = first
        .write(vec![nxmesh_master_lib::engine::DesiredChange::delete(key)])
        .await
        .version
        .unwrap()
        .revision;
    drop((first, session));

    // All that the stored resources tell is revision `kept`.
    let second = Master::on(storage).await;
    let hello = Hello {
        accepted: Some(with_blog.version),
        ..Hello::applied(&with_blog)
    };
    let mut session = agent.connect(&second, hello).await;
    let next = session.update().await;
    assert!(next.version > kept);
    assert_eq!(next.version, removal);
    assert_eq!(next.digest, update.digest);
}

#[tokio::test(start_paused = true)]
async fn an_agent_from_the_future_is_left_alone() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    master.put("shop", "one").await;
    let hello = Hello {
        accepted: Some(9),
        applied: Some(9),
        applied_digest: bytes::Bytes::from_static(&[9; 32]),
        ..Hello::fresh()
    };
    let mut session = agent.connect(&master, hello).await;
    session.is_left_alone(A_WHILE).await;
    assert!(!master.view(&agent).await.in_sync);
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_the_history_is_read_around() {
    let storage = Arc::new(Holey::default());
    let master = Master::on(Arc::<Holey>::clone(&storage)).await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    master.put("shop", "one").await;
    let update = session.update().await;
    session.apply(&update).await;
    master.settled(update.version).await;

    storage.hide(update.version + 1);
    master.put("blog", "hidden").await;
    let newest = master.put("shop", "two").await;
    let next = session.update().await;
    assert_eq!(next.version, newest);
    session.apply(&next).await;
    assert_eq!(master.fleet.head().revision, newest);
    let view = master.settled(newest).await;
    assert_eq!(view.agents[0].state, ProgressState::Applied);
    // And it goes on from there.
    let later = master.put("shop", "three").await;
    assert_eq!(session.update().await.version, later);
}

/// Finding nothing does not move the place reached: what shows up late is found.
#[tokio::test(start_paused = true)]
async fn a_revision_that_shows_up_late_is_not_missed() {
    let storage = Arc::new(Holey::default());
    let master = Master::on(Arc::<Holey>::clone(&storage)).await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    storage.freeze(true);
    let revision = master.put("shop", "one").await;
    session.is_left_alone(Duration::from_secs(10)).await;
    assert_eq!(master.fleet.head().revision, 0);
    storage.freeze(false);
    assert_eq!(session.update().await.version, revision);
}

/// Without any hint the poll finds what another master wrote.
#[tokio::test(start_paused = true)]
async fn polling_finds_what_was_not_announced() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let ours = Master::on(Arc::clone(&storage)).await;
    let theirs = Master::on(storage).await;
    let mut agent = ours.agent(&[]).await;
    let mut session = agent.connect(&ours, Hello::fresh()).await;
    let revision = theirs.put("shop", "one").await;
    let update = session
        .update_within(Duration::from_millis(1100))
        .await
        .unwrap();
    assert_eq!(update.version, revision);
}

#[tokio::test(start_paused = true)]
async fn a_newer_session_fences_the_older() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut older = agent.connect(&master, Hello::fresh()).await;
    let mut newer = agent.connect(&master, Hello::fresh()).await;
    assert_eq!(older.ended().await.code(), Code::Aborted);
    assert!(
        master.view(&agent).await.connected,
        "the older one's end is not the newer one's"
    );
    master.put("shop", "one").await;
    newer.update().await;
    // A session from before is not let in again.
    agent.sequence = 0;
    let stale = agent
        .try_connect(&master, Hello::fresh())
        .await
        .err()
        .unwrap();
    assert_eq!(stale.code(), Code::Aborted);
    assert!(stale.message().contains("older"), "{stale}");
}

/// The first to be there gives the agent its name, and both are named to whoever decides.
#[tokio::test(start_paused = true)]
async fn a_clone_that_takes_over_does_not_keep_the_name() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let _session = agent.connect(&master, Hello::fresh()).await;
    let mut clone = agent.clone();
    let hello = Hello {
        boot_id: "boot-of-the-clone",
        hostname: "web-2",
        ..Hello::fresh()
    };
    let _other = clone.connect(&master, hello).await;
    agent.sequence = clone.sequence;
    let refused = agent.try_connect(&master, Hello::fresh()).await.err();
    assert_eq!(refused.unwrap().code(), Code::PermissionDenied);
    let view = master.view(&agent).await;
    assert_eq!(view.hostname, "web-1");
    let reason = view.quarantine.unwrap().reason;
    assert!(reason.contains("on web-2 and on web-1"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn two_machines_with_one_identity_are_both_refused() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut clone = agent.clone();
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let hello = Hello {
        boot_id: "boot-of-the-clone",
        ..Hello::fresh()
    };
    let refused = clone.try_connect(&master, hello).await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("same identity"), "{refused}");
    // Nobody knows which of them is the right one.
    assert_eq!(session.ended().await.code(), Code::Aborted);
    master.put("shop", "one").await;
    for machine in [&mut agent, &mut clone] {
        let refused = machine.try_connect(&master, Hello::fresh()).await;
        let refused = refused.err().unwrap();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("unquarantine"), "{refused}");
    }
    let view = master.view(&agent).await;
    assert!(view.quarantine.is_some() && !view.connected, "{view:?}");

    // Somebody decides: one of them is gone.
    let workspace = super::workspace();
    let fleet = &master.fleet;
    let decided = fleet.unquarantine(&workspace, &agent.id, "ada").await;
    assert!(decided.unwrap());
    let again = fleet.unquarantine(&workspace, &agent.id, "ada").await;
    assert!(!again.unwrap());
    let mut session = agent.connect(&master, Hello::fresh()).await;
    session.update().await;
    assert_eq!(master.view(&agent).await.quarantine, None);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let all = nxmesh_core::contract::storage::ListAudit {
        workspace: Some(workspace),
        after: 0,
        limit: 10,
        newest_first: false,
    };
    let log = fleet.audit_log(&all).await.unwrap();
    let said: Vec<_> = log
        .iter()
        .map(|it| (&*it.entry.actor, &*it.entry.action))
        .collect();
    assert_eq!(
        said,
        [
            ("master", "agent:quarantine"),
            ("ada", "agent:unquarantine")
        ]
    );
}

/// The copies need not come with the same number: they fence each other.
#[tokio::test(start_paused = true)]
async fn two_machines_that_connect_in_turn_are_found_out() {
    let storage = std::sync::Arc::new(nxmesh_core::memory::MemoryStorage::new());
    let master = Master::on(std::sync::Arc::<nxmesh_core::memory::MemoryStorage>::clone(
        &storage,
    ))
    .await;
    let mut agent = master.agent(&[]).await;
    let copy = Hello {
        boot_id: "boot-of-the-clone",
        ..Hello::fresh()
    };
    agent.connect(&master, Hello::fresh()).await;
    agent.connect(&master, copy.clone()).await;
    let refused = agent.try_connect(&master, Hello::fresh()).await;
    assert_eq!(refused.err().unwrap().code(), Code::PermissionDenied);
    let refused = agent.try_connect(&master, copy).await;
    assert_eq!(refused.err().unwrap().code(), Code::PermissionDenied);

    // A master that is started anew knows it, too.
    master.stop.cancel();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let master = Master::on(storage).await;
    assert!(master.view(&agent).await.quarantine.is_some());
    let refused = agent.try_connect(&master, Hello::fresh()).await;
    assert_eq!(refused.err().unwrap().code(), Code::PermissionDenied);
}

/// Restarts of one machine are no clones, however many there are.
#[tokio::test(start_paused = true)]
async fn restarts_are_no_clones() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    for boot_id in ["boot-1", "boot-1", "boot-2", "boot-3", "boot-3", "boot-4"] {
        let hello = Hello {
            boot_id,
            ..Hello::fresh()
        };
        agent.connect(&master, hello).await;
    }
    assert_eq!(master.view(&agent).await.quarantine, None);
}

/// An agent that is away is not waited for, but gets the newest when it is back.
#[tokio::test(start_paused = true)]
async fn an_agent_that_is_away_catches_up() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let revision = master.put("shop", "one").await;
    let settled = master.settled(revision).await;
    assert_eq!(settled.agents[0].state, ProgressState::Disconnected);
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let update = session.update().await;
    session.apply(&update).await;
    assert_eq!(
        master.settled(revision).await.agents[0].state,
        ProgressState::Applied
    );
    assert_eq!(master.fleet.agents(&workspace()).await.len(), 1);
    let counts = master.fleet.counts();
    assert_eq!((counts.agents, counts.connected, counts.in_sync), (1, 1, 1));
}

/// The connection breaks while an update is on its way: whether it arrived is
/// asked of the agent, not assumed.
#[tokio::test(start_paused = true)]
async fn an_offer_that_was_cut_off_is_made_again() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    master.put("shop", "one").await;
    let update = session.update().await;
    drop(session);
    let mut session = agent.connect(&master, Hello::fresh()).await;
    assert_eq!(session.update().await.version, update.version);
    drop(session);
    // It had taken it on: the same again, which it may finish or confirm.
    let hello = Hello {
        accepted: Some(update.version),
        ..Hello::fresh()
    };
    let mut session = agent.connect(&master, hello).await;
    let again = session.update().await;
    assert_eq!(
        (again.version, &again.digest),
        (update.version, &update.digest)
    );
    session.apply(&again).await;
    master.settled(update.version).await;
}
#[tokio::test(start_paused = true)]
async fn a_removal_reaches_agents_after_a_restart() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let first = Master::on(Arc::clone(&storage)).await;
    let mut agent = first.agent(&[("env", "prod")]).await;
    let mut session = agent.connect(&first, Hello::fresh()).await;
    first.put("blog", "gone soon").await;
    let update = session.update().await;
    session.apply(&update).await;
    first.put("shop", "kept").await;
    let both = session.update().await;
    session.apply(&both).await;
    first.settled(both.version).await;
    let key = "VirtualHost/blog".parse().unwrap();
    let removal = first
        .write(vec![nxmesh_master_lib::engine::DesiredChange::delete(key)])
        .await
        .version
        .unwrap()
        .revision;
    drop((first, session));
    let second = Master::on(storage).await;
    let hello = Hello {
        accepted: Some(both.version),
        ..Hello::applied(&both)
    };
    let mut session = agent.connect(&second, hello).await;
    let next = session.update().await;
    assert!(next.digest != both.digest);
    assert_eq!(
        next.version, removal,
        "same version {} with other content",
        both.version
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_not_done_before_its_revision_is_taken_in() {
    use nxmesh_core::{model::Resource, testkit::sample};
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let master = Master::idle(Arc::clone(&storage), FleetOptions::default()).await;
    let mut agent = master.agent(&[]).await;
    let _session = agent.connect(&master, Hello::fresh()).await;
    let put = nxmesh_master_lib::engine::DesiredChange::put;
    let mut upstream = sample::upstream("shop");
    let host = Resource::from(sample::virtual_host("shop"));
    master
        .write(vec![put(host), put(Resource::from(upstream.clone()))])
        .await;
    upstream.spec.keepalive = Some(3);
    let revision = master
        .write(vec![put(Resource::from(upstream))])
        .await
        .version
        .unwrap()
        .revision;
    let view = master.rollout(revision).await;
    assert!(!view.done, "{view:?}");
}

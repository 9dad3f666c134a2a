use std::time::Duration;

use bytes::Bytes;
use nxmesh_core::{
    api::ProgressState,
    digest::Digest,
    model::{Resource, ResourceKey, Version},
    testkit::sample,
    wire::{
        BundleChunk, ConfigFailure, ConfigPhase, ConfigUpdate, Drift, FetchBundleRequest,
        HealthReport,
    },
};
use nxmesh_master_lib::engine::DesiredChange;
use prost::Message as _;
use tokio::time::Instant;
use tonic::{Code, Request};

use super::{
    Agent, Hello, Master,
    conversation::{Raw, failure, path, ready, with},
    host, workspace,
};

const A_WHILE: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn an_agent_tells_of_its_nginx() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    assert_eq!(master.view(&agent).await.nginx, None);
    let _session = agent.connect(&master, Hello::fresh()).await;
    let view = master.view(&agent).await;
    assert_eq!(view.nginx_version, "1.22.1");
    let told = view.nginx.unwrap();
    assert_eq!(told.modules, ["http_ssl_module"]);
    assert!(!told.whole_conf);
}

#[tokio::test(start_paused = true)]
async fn a_write_reaches_the_agents_it_concerns() {
    let master = Master::start().await;
    let mut prod = master.agent(&[("env", "prod")]).await;
    let mut dev = master.agent(&[("env", "dev")]).await;
    let mut prod_session = prod.connect(&master, Hello::fresh()).await;
    let mut dev_session = dev.connect(&master, Hello::fresh()).await;

    let begun = Instant::now();
    let written = master
        .write(vec![DesiredChange::put(host("shop", "env=prod", "hello"))])
        .await;
    assert_eq!(written.agents, [prod.id.clone()]);
    let revision = written.version.unwrap().revision;
    let update = prod_session.update().await;
    assert!(
        begun.elapsed() < Duration::from_millis(50),
        "a lone write waits for nothing"
    );
    assert_eq!((update.epoch, update.version), (1, revision));
    assert_eq!(update.virtual_hosts[0].name, "shop");
    dev_session.is_left_alone(A_WHILE).await;

    let state = async |revision| master.rollout(revision).await.agents[0].state;
    assert_eq!(state(revision).await, ProgressState::Sent);
    prod_session.tell(&update, ConfigPhase::Received).await;
    prod_session.tell(&update, ConfigPhase::Staged).await;
    let seen = master.rollout(revision).await.tag;
    let until = Instant::now() + A_WHILE;
    let workspace = workspace();
    let view = master
        .fleet
        .wait_rollout(&workspace, revision, Some(&seen), until)
        .await;
    assert_eq!(
        view.unwrap().unwrap().agents[0].state,
        ProgressState::Staged
    );
    assert!(!master.view(&prod).await.in_sync);
    prod_session.tell(&update, ConfigPhase::Applied).await;
    let settled = master.settled(revision).await;
    assert_eq!(settled.agents.len(), 1);
    assert_eq!(settled.agents[0].state, ProgressState::Applied);
    let view = master.view(&prod).await;
    assert!(view.in_sync);
    let version = Some(Version { epoch: 1, revision });
    assert_eq!(
        (view.sent, view.staged, view.applied),
        (version, version, version)
    );
    assert!(
        master
            .fleet
            .rollout(&workspace, 99)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_serves_it_is_sent_nothing() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    session.is_left_alone(A_WHILE).await;
    master.put("shop", "hello").await;
    let update = session.update().await;
    session.apply(&update).await;
    session.is_left_alone(A_WHILE).await;
    drop(session);
    let mut session = agent.connect(&master, Hello::applied(&update)).await;
    session.is_left_alone(A_WHILE).await;
    session.heartbeat().await;
    session.is_left_alone(A_WHILE).await;
    // An agent that lost its disk says so and gets it again, whole.
    drop(session);
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let again = session.update().await;
    assert_eq!(again.digest, update.digest);
    assert!(again.base_digest.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_for_an_agent_is_not_sent_to_it() {
    let master = Master::start().await;
    let mut agent = master.agent(&[("env", "prod")]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    master.put("shop", "hello").await;
    let update = session.update().await;
    session.apply(&update).await;
    master
        .write(vec![DesiredChange::put(host("other", "env=dev", "x"))])
        .await;
    master
        .write(vec![DesiredChange::put(Resource::from(sample::upstream(
            "unused",
        )))])
        .await;
    session.is_left_alone(A_WHILE).await;
    assert!(master.view(&agent).await.in_sync);
    // Who has what is named is told, whether it changes or not.
    for (name, selector, text) in [("other", "env=dev", "x"), ("late", "env=prod", "y")] {
        master
            .write(vec![DesiredChange::put(host(name, selector, text))])
            .await;
        let same = vec![DesiredChange::put(host(name, selector, text))];
        let written = master.write(same).await;
        assert!(written.version.is_none() && written.agents.is_empty());
        let ours = selector == "env=prod";
        assert_eq!(written.concerned.contains(&agent.id), ours, "{name}");
    }
}

/// What was applied once is not what is served now.
#[tokio::test(start_paused = true)]
async fn an_nginx_that_is_known_to_serve_something_else_is_not_in_sync() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let revision = master.put("shop", "hello").await;
    let update = session.update().await;
    session.apply(&update).await;
    master.settled(revision).await;
    let drift = |health: &mut HealthReport| health.drift = Some(Drift::default());
    let down = |health: &mut HealthReport| health.nginx_running = false;
    let silent = |health: &mut HealthReport| health.nginx_silent_since = 7;
    let astray = |health: &mut HealthReport| health.nginx_problem = "astray".to_owned();
    let troubles: [&(dyn Fn(&mut HealthReport) + Sync); 4] = [&drift, &down, &silent, &astray];
    for trouble in troubles {
        for (in_sync, trouble) in [(true, None), (false, Some(trouble)), (true, None)] {
            session
                .healthy(|health| {
                    if let Some(trouble) = trouble {
                        trouble(health);
                    }
                })
                .await;
            session.is_left_alone(A_WHILE).await;
            let view = master.view(&agent).await;
            assert_eq!(view.in_sync, in_sync, "{view:?}");
            assert_eq!(view.applied, view.desired);
            // It was rolled out all the same.
            let rollout = master.rollout(revision).await;
            assert_eq!(rollout.agents[0].state, ProgressState::Applied);
        }
    }
}

/// Removing the last virtual host is a change like any other.
#[tokio::test(start_paused = true)]
async fn removing_the_last_host_is_sent() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    master.put("shop", "hello").await;
    let update = session.update().await;
    session.apply(&update).await;
    let key: ResourceKey = "VirtualHost/shop".parse().unwrap();
    master.write(vec![DesiredChange::delete(key)]).await;
    let removal = session.update().await;
    assert!(removal.version > update.version);
    let digest = Digest::from_bytes(&removal.digest).unwrap();
    assert_eq!(digest, nxmesh_core::bundle::Slice::default().digest());
    session.apply(&removal).await;
    session.is_left_alone(A_WHILE).await;
}

/// While an agent is at work nothing more is sent to it; then it gets the newest.
#[tokio::test(start_paused = true)]
async fn a_slow_agent_skips_to_the_newest() {
    let master = Master::start().await;
    let mut slow = master.agent(&[]).await;
    let mut quick = master.agent(&[]).await;
    let mut slow_session = slow.connect(&master, Hello::fresh()).await;
    let mut quick_session = quick.connect(&master, Hello::fresh()).await;
    master.put("shop", "0").await;
    let first = slow_session.update().await;
    let update = quick_session.update().await;
    quick_session.apply(&update).await;
    let mut newest = 0;
    for body in 1..=5 {
        newest = master.put("shop", &body.to_string()).await;
        let update = quick_session.update().await;
        assert_eq!(update.version, newest);
        quick_session.apply(&update).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    slow_session.tell(&first, ConfigPhase::Received).await;
    slow_session.is_left_alone(A_WHILE).await;
    slow_session.tell(&first, ConfigPhase::Applied).await;
    let next = slow_session.update().await;
    assert_eq!(next.version, newest);
    slow_session.apply(&next).await;
    slow_session.is_left_alone(A_WHILE).await;
    assert_eq!(slow.sequence, 1);
    assert_eq!(quick.sequence, 1);
}

/// An agent that reads nothing holds nobody up, and is given up in the end.
#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_read_delays_nobody() {
    let master = Master::start().await;
    let mut deaf = master.agent(&[]).await;
    let mut agent = master.agent(&[]).await;
    let mut silence = deaf.connect(&master, Hello::fresh()).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    for body in 0..50 {
        // Large enough to fill every buffer on the way to the deaf one.
        let body = format!("{body}{}", "x".repeat(3000));
        let sites = (0..15).map(|n| DesiredChange::put(host(&format!("site-{n}"), "", &body)));
        master.write(sites.collect()).await;
        let update = session
            .update_within(Duration::from_millis(100))
            .await
            .unwrap();
        session.apply(&update).await;
        // It answers without having read.
        silence.apply(&update).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for _ in 0..2 {
        session.heartbeat().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(master.view(&agent).await.connected);
    assert!(!master.view(&deaf).await.connected);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_writes_make_a_handful_of_offers() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let writes = async {
        for number in 0..1000 {
            master.put("shop", &number.to_string()).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    let mut offers = Vec::new();
    let serving = async {
        loop {
            let update = session.update().await;
            offers.push(update.version);
            tokio::time::sleep(Duration::from_millis(100)).await;
            session.apply(&update).await;
        }
    };
    tokio::select! {
        () = writes => {}
        () = serving => {}
    }
    assert!(offers.is_sorted(), "{offers:?}");
    assert_eq!(offers.last(), Some(&1000));
    assert!((10..=25).contains(&offers.len()), "{} offers", offers.len());
    assert!(master.view(&agent).await.in_sync);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_refusal_sticks_to_its_version() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let good = master.put("shop", "good").await;
    let update = session.update().await;
    session.apply(&update).await;
    let bad = master.put("shop", "bad").await;
    let refused = session.update().await;
    session.tell(&refused, ConfigPhase::Received).await;
    session
        .tell_failure(&refused, ConfigPhase::Rejected, failure(false))
        .await;
    let settled = master.settled(bad).await;
    assert_eq!(settled.agents[0].state, ProgressState::Rejected);
    let told = settled.agents[0].failure.clone().unwrap();
    assert_eq!(told.message, "unknown directive \"foo\"");
    for down in [true, false] {
        session.healthy(|it| it.nginx_running = !down).await;
        session.is_left_alone(A_WHILE).await;
        assert_eq!(master.rollout(bad).await.agents[0].down, down);
    }
    for _ in 0..40 {
        session.is_left_alone(A_WHILE).await;
        session.heartbeat().await;
    }
    let view = master.view(&agent).await;
    assert_eq!(view.applied.map(|it| it.revision), Some(good));
    assert!(!view.in_sync);
    // Nor after a reconnect.
    drop(session);
    let hello = Hello {
        accepted: Some(bad),
        ..Hello::applied(&update)
    };
    let mut session = agent.connect(&master, hello).await;
    session.is_left_alone(A_WHILE).await;
    // A newer version is another matter.
    let fixed = master.put("shop", "fixed").await;
    let update = session.update().await;
    assert_eq!(update.version, fixed);
    session.apply(&update).await;
    assert_eq!(
        master.settled(fixed).await.agents[0].state,
        ProgressState::Applied
    );
    assert_eq!(master.view(&agent).await.failure, None);
}

/// Undoing what failed needs nothing to be sent: what is wanted is served.
#[tokio::test(start_paused = true)]
async fn undoing_a_failed_revision_is_done_at_once() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    master.put("shop", "good").await;
    let update = session.update().await;
    session.apply(&update).await;
    let bad = master.put("shop", "bad").await;
    let refused = session.update().await;
    session.tell(&refused, ConfigPhase::Received).await;
    session
        .tell_failure(&refused, ConfigPhase::RolledBack, failure(false))
        .await;
    assert_eq!(
        master.settled(bad).await.agents[0].state,
        ProgressState::RolledBack
    );
    let undone = master
        .engine
        .undo(workspace(), bad, "admin".to_owned(), String::new(), false)
        .await
        .unwrap();
    let revision = undone.version.unwrap().revision;
    assert_eq!(
        master.settled(revision).await.agents[0].state,
        ProgressState::Applied
    );
    session.is_left_alone(A_WHILE).await;
    let view = master.view(&agent).await;
    assert!(view.in_sync);
    assert_eq!(view.failure, None, "what failed is not wanted any more");
}

#[tokio::test(start_paused = true)]
async fn a_retryable_failure_is_tried_again_with_backoff() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let revision = master.put("shop", "hello").await;
    let mut update = session.update().await;
    for ceiling in [5, 10, 20, 40, 80, 160, 300, 300] {
        session.tell(&update, ConfigPhase::Received).await;
        session
            .tell_failure(&update, ConfigPhase::Rejected, failure(true))
            .await;
        let begun = Instant::now();
        let again = retried(&mut session, ceiling).await;
        assert!(begun.elapsed() <= Duration::from_secs(ceiling + 1));
        assert_eq!((again.version, &again.digest), (revision, &update.digest));
        update = again;
    }
    session.apply(&update).await;
    assert_eq!(
        master.settled(revision).await.agents[0].state,
        ProgressState::Applied
    );
    assert_eq!(master.view(&agent).await.failure, None);
}

async fn retried(session: &mut super::Conversation, within: u64) -> ConfigUpdate {
    for _ in 0..=within / 30 {
        if let Ok(update) = session.update_within(Duration::from_secs(30)).await {
            return update;
        }
        session.heartbeat().await;
    }
    panic!("not tried again within {within} s");
}

/// An agent that says it applied something else is not believed to serve what
/// was wanted, nor flooded.
#[tokio::test(start_paused = true)]
async fn another_content_is_not_what_was_wanted() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    master.put("shop", "hello").await;
    let begun = Instant::now();
    for _ in 0..12 {
        let offered = retried(&mut session, 300).await;
        let other = ConfigUpdate {
            digest: Bytes::from_static(&[7; 32]),
            ..offered
        };
        session.apply(&other).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!master.view(&agent).await.in_sync);
    }
    assert!(begun.elapsed() > Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_offer_is_made_again() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    master.put("shop", "hello").await;
    let update = session.update().await;
    let begun = Instant::now();
    let again = retried(&mut session, 180).await;
    assert_eq!(again, update);
    assert!(begun.elapsed() >= Duration::from_secs(119));
}

/// The offered slice, as the agent would have it.
fn names(update: &ConfigUpdate) -> Vec<&str> {
    update
        .virtual_hosts
        .iter()
        .map(|host| &*host.name)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_is_sent_again() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let sites = (0..20).map(|n| DesiredChange::put(host(&format!("site-{n}"), "", "x")));
    master.write(sites.collect()).await;
    let whole = session.update().await;
    assert_eq!(whole.virtual_hosts.len(), 20);
    session.apply(&whole).await;
    master.put("site-3", "y").await;
    let delta = session.update().await;
    assert_eq!(delta.base_digest, whole.digest);
    assert_eq!(names(&delta), ["site-3"]);
    // The newest version taken on is the base, even if it failed.
    session.tell(&delta, ConfigPhase::Received).await;
    session
        .tell_failure(&delta, ConfigPhase::Rejected, failure(false))
        .await;
    master.settled(delta.version).await;
    let key: ResourceKey = "VirtualHost/site-4".parse().unwrap();
    master.write(vec![DesiredChange::delete(key)]).await;
    let next = session.update().await;
    assert_eq!(next.base_digest, delta.digest);
    assert!(names(&next).is_empty());
    assert_eq!(next.removed, ["VirtualHost/site-4"]);
    // An agent that lacks the base gets all of it, at once.
    let lacks = ConfigFailure {
        code: "NX-WIRE-002".to_owned(),
        retryable: true,
        ..ConfigFailure::default()
    };
    session
        .tell_failure(&next, ConfigPhase::Rejected, Some(lacks))
        .await;
    let begun = Instant::now();
    let all = session.update().await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!((all.version, &all.digest), (next.version, &next.digest));
    assert!(all.base_digest.is_empty());
    assert_eq!(all.virtual_hosts.len(), 19);
    assert_ne!(
        master.settled_or_sent(next.version).await,
        ProgressState::Rejected
    );
}

impl Master {
    async fn settled_or_sent(&self, revision: u64) -> ProgressState {
        self.rollout(revision).await.agents[0].state
    }
}

async fn fetch(
    master: &Master,
    agent: &Agent,
    nonce: &str,
    digest: &Bytes,
    offset: u64,
) -> Result<Vec<BundleChunk>, tonic::Status> {
    let request = FetchBundleRequest {
        digest: digest.clone(),
        offset,
    };
    let body = Bytes::from(request.encode_to_vec());
    let request = with(
        &agent.headers("FetchBundle", &body, nonce),
        Request::new(body),
    );
    let mut grpc = ready(&master.channel()).await?;
    let path = path("FetchBundle").parse().unwrap();
    let mut stream = grpc
        .server_streaming(request, path, Raw)
        .await?
        .into_inner();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.message().await? {
        chunks.push(BundleChunk::decode(chunk).unwrap());
    }
    Ok(chunks)
}

#[tokio::test(start_paused = true)]
async fn what_is_large_is_fetched_by_whom_it_was_offered_to() {
    let master = Master::start().await;
    let mut agent = master.agent(&[("env", "prod")]).await;
    let mut other = master.agent(&[("env", "dev")]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let mut bystander = other.connect(&master, Hello::fresh()).await;
    let sites = (0..50)
        .map(|n| DesiredChange::put(host(&format!("site-{n}"), "env=prod", &"x".repeat(3000))));
    master.write(sites.collect()).await;
    let update = session.update().await;
    bystander.is_left_alone(A_WHILE).await;
    assert!(update.virtual_hosts.is_empty());
    let offer = update.offer.clone().unwrap();
    assert!(offer.size_bytes > 64 << 10);

    let chunks = fetch(&master, &agent, "nonce-0000000001", &offer.digest, 0)
        .await
        .unwrap();
    assert!(chunks.iter().all(|chunk| chunk.data.len() <= 32 << 10));
    let mut content = Vec::new();
    for chunk in &chunks {
        assert_eq!(chunk.offset, content.len() as u64);
        content.extend_from_slice(&chunk.data);
    }
    assert_eq!(content.len() as u64, offer.size_bytes);
    assert_eq!(&Digest::of(&content).as_bytes()[..], &offer.digest[..]);
    assert_eq!(
        ConfigUpdate::decode(&content[..])
            .unwrap()
            .virtual_hosts
            .len(),
        50
    );
    // From where a broken call ended.
    let rest = fetch(&master, &agent, "nonce-0000000002", &offer.digest, 100_000)
        .await
        .unwrap();
    let rest: Vec<u8> = rest.iter().flat_map(|chunk| chunk.data.to_vec()).collect();
    assert_eq!(rest, content[100_000..]);

    let foreign = fetch(&master, &other, "nonce-0000000003", &offer.digest, 0).await;
    assert_eq!(foreign.unwrap_err().code(), Code::NotFound);
    let made_up = Bytes::copy_from_slice(Digest::of(b"x").as_bytes());
    let unknown = fetch(&master, &agent, "nonce-0000000004", &made_up, 0).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    let beyond = fetch(&master, &agent, "nonce-0000000005", &offer.digest, u64::MAX).await;
    assert_eq!(beyond.unwrap_err().code(), Code::OutOfRange);
    session.apply(&update).await;
    master.settled(update.version).await;
}

/// Certificates travel as their documents.
#[tokio::test(start_paused = true)]
async fn a_certificate_travels_with_its_host() {
    let master = Master::start().await;
    let mut agent = master.agent(&[("env", "prod")]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let certificate = Resource::from(sample::certificate("shop"));
    let json = certificate.to_canonical_json();
    master
        .write(vec![
            DesiredChange::put(certificate),
            DesiredChange::put(Resource::from(sample::upstream("shop"))),
            DesiredChange::put(Resource::from(sample::tls_virtual_host("shop"))),
        ])
        .await;
    let update = session.update().await;
    assert_eq!(update.ssl_certificates["shop"].as_bytes(), json);
    assert_eq!(update.upstreams.len(), 1);
}

use std::time::Duration;

use nxmesh_core::{
    contract::storage::ListAudit,
    model::{AgentId, Labels},
};
use secrecy::ExposeSecret as _;
use tonic::Code;

use super::{Hello, Master, labels_of, workspace};

#[tokio::test(start_paused = true)]
async fn a_token_admits_one_agent() {
    let master = Master::start().await;
    let token = master.token(&[("env", "prod")]).await;
    let enrolled = master.enrol(&token, "install-a").await.unwrap();
    assert_eq!(enrolled.session_key.len(), 32);
    assert_eq!(enrolled.master_ca, "the CA");
    assert_eq!(enrolled.workspace, "default");
    assert_eq!(enrolled.heartbeat_interval_seconds, 30);

    let refused = master.enrol(&token, "install-b").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("used already"), "{refused}");
    assert_eq!(master.fleet.agents(&workspace()).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_repeated() {
    let master = Master::start().await;
    let token = master.token(&[]).await;
    let first = master.enrol(&token, "install-a").await.unwrap();
    let again = master.enrol(&token, "install-a").await.unwrap();
    assert_eq!(first, again);
    assert_eq!(master.fleet.agents(&workspace()).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_tokens_labels_win() {
    let master = Master::start().await;
    let token = master.token(&[("env", "prod"), ("zone", "a")]).await;
    master.enrol(&token, "install-a").await.unwrap();
    let agent = master.fleet.agents(&workspace()).await.remove(0);
    assert_eq!(agent.labels, labels_of(&[("env", "prod"), ("zone", "a")]));
}

#[tokio::test(start_paused = true)]
async fn expired_wrong_and_senseless_tokens_are_refused() {
    let master = Master::start().await;
    let ttl = Duration::from_secs(60);
    let (token, record) = master
        .fleet
        .create_bootstrap_token(workspace(), Labels::new(), ttl)
        .await
        .unwrap();
    assert_eq!(record.expires_at - record.created_at, 60_000);
    master.clock.advance(ttl);
    let expired = master
        .enrol(token.expose_secret(), "install-a")
        .await
        .unwrap_err();
    assert_eq!(expired.code(), Code::PermissionDenied);
    assert!(expired.message().contains("expired"), "{expired}");

    let unknown = format!("nxb_{}", "A".repeat(43));
    for token in [&*unknown, "", "nxb_", "x".repeat(100_000).as_str()] {
        let refused = master.enrol(token, "install-a").await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        assert!(refused.message().contains("not known"), "{refused}");
    }
    let good = master.token(&[]).await;
    let senseless = master.enrol(&good, "a b").await.unwrap_err();
    assert_eq!(senseless.code(), Code::InvalidArgument);
    assert!(senseless.message().contains("install_id"), "{senseless}");
    assert!(master.fleet.agents(&workspace()).await.is_empty());
    assert!(
        master.enrol(&good, "install-a").await.is_ok(),
        "a bad attempt used it up"
    );
}

#[tokio::test(start_paused = true)]
async fn a_removed_agent_is_out_for_good() {
    let master = Master::start().await;
    let token = master.token(&[]).await;
    let enrolled = master.enrol(&token, "install-a").await.unwrap();
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let remove = async |id: &AgentId| {
        let removed = master.fleet.remove(&workspace(), id, "ada").await;
        removed.unwrap()
    };
    assert!(remove(&agent.id).await);
    assert_eq!(session.ended().await.code(), Code::Aborted);
    let refused = agent
        .try_connect(&master, Hello::fresh())
        .await
        .err()
        .unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("not enrolled"), "{refused}");
    assert!(!remove(&agent.id).await);

    let id = enrolled.agent_id.parse().unwrap();
    assert!(remove(&id).await);
    let gone = master.enrol(&token, "install-a").await.unwrap_err();
    assert!(gone.message().contains("removed"), "{gone}");
    let all = ListAudit {
        workspace: None,
        after: 0,
        limit: 10,
        newest_first: false,
    };
    let log = master.fleet.audit_log(&all).await.unwrap();
    let said: Vec<_> = log
        .into_iter()
        .map(|it| (it.entry.actor, it.entry.action, it.entry.subject))
        .collect();
    let entry = |id: &dyn std::fmt::Display| {
        let [actor, action] = ["ada", "agent:delete"].map(str::to_owned);
        (actor, action, format!("agent/{id}"))
    };
    assert_eq!(said, [entry(&agent.id), entry(&id)]);
}

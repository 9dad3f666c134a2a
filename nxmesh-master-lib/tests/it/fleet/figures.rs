//! What agents count, by their sessions and by calls.

use nxmesh_core::{
    model::AgentMetrics,
    wire::{Ack, CommandResult, MetricsBatch, agent_message::Payload},
};
use prost::Message as _;
use tonic::{Code, Request};

use super::{Agent, Hello, Master, call, conversation::with};

const MINUTE: u64 = 60_000;

fn batch(requests: u64, at: u64) -> MetricsBatch {
    let figures = AgentMetrics {
        requests: Some(requests),
        workers: Some(2),
        ..AgentMetrics::default()
    };
    MetricsBatch::of(&figures, at)
}

/// Tells by a call, signed with a nonce of its own.
async fn report(master: &Master, agent: &Agent, batch: MetricsBatch) -> Result<Ack, tonic::Status> {
    let nonce = format!("nonce-{:012}", batch.at);
    let headers = agent.headers("ReportMetrics", &batch.encode_to_vec(), &nonce);
    let request = with(&headers, Request::new(batch));
    call(&master.channel(), "ReportMetrics", request).await
}

#[tokio::test(start_paused = true)]
async fn figures_are_kept_and_summed() {
    let master = Master::start().await;
    let (mut talker, caller) = (master.agent(&[]).await, master.agent(&[]).await);
    let mut session = talker.connect(&master, Hello::fresh()).await;
    for (requests, at) in [(100, 1), (130, 1 + MINUTE), (130, 1 + MINUTE)] {
        session.send(Payload::Metrics(batch(requests, at))).await;
    }
    // Told in order: once this is answered, so is what was told before.
    session
        .send(Payload::CommandResult(CommandResult::default()))
        .await;
    let acknowledged = session.receive().await.unwrap();
    assert!(acknowledged.is_some());
    let view = master.view(&talker).await.metrics.unwrap();
    assert_eq!(view.requests_per_minute, Some(30));
    assert_eq!(view.figures, batch(130, 0).figures());

    assert_eq!(master.view(&caller).await.metrics, None);
    report(&master, &caller, batch(7, 1)).await.unwrap();
    report(&master, &caller, batch(3, 1 + 2 * MINUTE))
        .await
        .unwrap();
    let view = master.view(&caller).await;
    assert!(!view.connected && view.last_seen_at > 0, "{view:?}");
    // Its nginx was started anew.
    assert_eq!(view.metrics.unwrap().requests_per_minute, Some(1));
    let sums = master.fleet.metrics();
    assert_eq!((sums.agents, sums.figures.workers), (2, Some(4)));
    assert_eq!(sums.figures.requests, Some(30 + 3));

    // Old figures are no longer those of now; what was added stays.
    master.clock.advance(std::time::Duration::from_secs(301));
    let sums = master.fleet.metrics();
    assert_eq!((sums.agents, sums.figures.workers), (0, None));
    assert_eq!(sums.figures.requests, Some(33));
    let listed = master.fleet.agents(&super::workspace()).await;
    assert!(listed.iter().all(|it| it.metrics.is_none()), "{listed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_twice_or_wrongly_signed_counts_for_nothing() {
    let master = Master::start().await;
    let (agent, other) = (master.agent(&[]).await, master.agent(&[]).await);
    report(&master, &agent, batch(1, 1)).await.unwrap();
    let again = report(&master, &agent, batch(1, 1)).await.unwrap_err();
    assert_eq!(again.code(), Code::Unauthenticated);
    let mut forged = other.clone();
    forged.id = agent.id.clone();
    let refused = report(&master, &forged, batch(9, 9)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let view = master.view(&agent).await.metrics.unwrap();
    assert_eq!(view.figures.requests, Some(1));
}

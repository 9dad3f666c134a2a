use nxmesh_core::wire::Version;

use super::*;

fn status(revision: u64, phase: ConfigPhase, running: &str) -> ConfigStatus {
    ConfigStatus {
        version: Some(Version { epoch: 1, revision }),
        phase: phase.into(),
        running_digest: running.to_owned(),
        ..ConfigStatus::default()
    }
}

fn told(outbox: &Outbox) -> Vec<(u64, ConfigPhase, String)> {
    let waiting = outbox.lock();
    let statuses = waiting.entries.iter().map(|entry| match &entry.payload {
        Payload::ConfigStatus(status) => (
            status.version.unwrap_or_default().revision,
            status.phase(),
            status.running_digest.clone(),
        ),
        other => panic!("{other:?}"),
    });
    statuses.collect()
}

const PATIENCE: Duration = Duration::from_millis(500);

#[tokio::test]
async fn the_latest_of_a_version_and_phase_wins() {
    let outbox = Outbox::default();
    outbox.push_status(status(1, ConfigPhase::Applied, "a"));
    outbox.push_status(status(2, ConfigPhase::Rejected, "a"));
    let taken = outbox.next(PATIENCE).await;
    outbox.push_status(status(1, ConfigPhase::Applied, "again"));
    // What took the place of the message that was being sent is still to be sent.
    outbox.sent(&taken);
    assert_eq!(
        told(&outbox),
        [
            (2, ConfigPhase::Rejected, "a".to_owned()),
            (1, ConfigPhase::Applied, "again".to_owned())
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn only_an_apply_that_takes_its_time_tells_of_its_phases() {
    let outbox = Outbox::default();
    let next = async || {
        let entry = outbox.next(PATIENCE).await;
        outbox.sent(&entry);
        entry.payload
    };
    let phase = |payload: Payload| match payload {
        Payload::ConfigStatus(status) => status.phase(),
        other => panic!("{other:?}"),
    };
    let begun = Instant::now();
    outbox.push_status(status(1, ConfigPhase::Received, ""));
    outbox.push_status(status(1, ConfigPhase::Staged, ""));
    outbox.push_status(status(1, ConfigPhase::Applied, ""));
    assert_eq!(phase(next().await), ConfigPhase::Applied);
    assert!(told(&outbox).is_empty());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    outbox.push_status(status(2, ConfigPhase::Received, ""));
    assert_eq!(phase(next().await), ConfigPhase::Received);
    assert_eq!(begun.elapsed(), PATIENCE);
    // What waits for its time holds nothing up.
    outbox.push_status(status(2, ConfigPhase::Staged, ""));
    outbox.push_result(CommandResult::default());
    assert!(matches!(next().await, Payload::CommandResult(_)));
    assert_eq!(phase(next().await), ConfigPhase::Staged);
    assert_eq!(begun.elapsed(), PATIENCE * 2);
}

#[tokio::test]
async fn a_new_session_hears_the_last_outcome_again() {
    let outbox = Outbox::default();
    outbox.push_status(status(7, ConfigPhase::Rejected, "a"));
    let taken = outbox.next(PATIENCE).await;
    outbox.sent(&taken);
    assert!(told(&outbox).is_empty());
    outbox.begin_session();
    assert_eq!(told(&outbox), [(7, ConfigPhase::Rejected, "a".to_owned())]);
    outbox.begin_session();
    assert_eq!(told(&outbox).len(), 1);
}

#[tokio::test]
async fn what_an_island_has_to_tell_comes_in_order_and_the_newest_of_it() {
    let outbox = Outbox::default();
    let many = CAPACITY as u64 * 3;
    for revision in 0..many {
        outbox.push_status(status(revision, ConfigPhase::Received, ""));
        let phase = match revision % 2 {
            0 => ConfigPhase::Applied,
            _ => ConfigPhase::RolledBack,
        };
        outbox.push_status(status(revision, phase, ""));
    }
    outbox.begin_session();
    let mut heard = Vec::new();
    while heard.len() < CAPACITY {
        let entry = outbox.next(PATIENCE).await;
        outbox.sent(&entry);
        if let Payload::ConfigStatus(status) = entry.payload {
            heard.push(status.version.unwrap_or_default().revision);
        }
    }
    assert!(heard.is_sorted() && heard.last() == Some(&(many - 1)));
    assert_eq!(heard.first(), Some(&(many - CAPACITY as u64)));
    assert!(told(&outbox).is_empty());
}

#[test]
fn outcomes_outlast_phases_when_it_is_full() {
    let outbox = Outbox::default();
    for revision in 0..CAPACITY as u64 {
        outbox.push_status(status(1000 + revision, ConfigPhase::Received, ""));
        outbox.push_status(status(revision, ConfigPhase::Rejected, ""));
    }
    let told = told(&outbox);
    assert_eq!(told.len(), CAPACITY);
    assert!(
        told.iter()
            .all(|(_, phase, _)| *phase == ConfigPhase::Rejected)
    );
}

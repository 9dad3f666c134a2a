//! Keys that are changed for their age, and offers that are over.

use std::time::Duration;

use nxmesh_core::{
    contract::storage::{AgentKey, AgentKeys, StorageError},
    digest::Digest,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Agent, Fleet};

/// How long a key is on offer; one that nobody used by then is of no use.
const OFFERED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Changes that age begins within a minute in a fleet that is not huge.
const BEGUN_PER_MINUTE: usize = 64;
const MINUTE_MS: u64 = 60_000;
/// How often keys are looked at, at most and at least.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How many changes age may begin within a minute: more only where all would not
/// be done within half of the lifetime.
fn begun_per_minute(agents: usize, lifetime: Duration) -> usize {
    let minutes = usize::try_from(lifetime.as_secs() / 60).unwrap_or(usize::MAX);
    BEGUN_PER_MINUTE.max(2 * agents / minutes.max(1))
}

/// When age alone changes a key, in Unix milliseconds. The last tenth of the
/// lifetime is spread over the keys, so that those of one day are not due at once.
fn due_at(key: &AgentKey, lifetime: Duration) -> u64 {
    let lifetime = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    let digest = Digest::of(key.id.as_bytes());
    let share = digest.as_bytes().first_chunk().copied().unwrap_or_default();
    let early = (u128::from(lifetime / 10) * u128::from(u32::from_be_bytes(share))) >> 32;
    let early = u64::try_from(early).unwrap_or_default();
    key.since.saturating_add(lifetime - early)
}

impl Agent {
    fn key_due_at(&self, lifetime: Duration) -> u64 {
        due_at(&self.record.keys.primary, lifetime)
    }

    /// When the newest change of its key began, if not earlier; 0 if it has that of
    /// its enrolment.
    fn key_change_begun_at(&self) -> u64 {
        let AgentKeys { primary, secondary } = &self.record.keys;
        match secondary {
            Some(next) => next.since,
            None if primary.since == self.record.enrolled_at => 0,
            None => primary.since,
        }
    }
}

impl Fleet {
    /// Stores what could not be stored before, takes back what was offered in vain,
    /// and offers other keys where the lifetime of those in use ends.
    async fn look_at_keys(&self) -> Result<(), StorageError> {
        for id in self.agents_that(Agent::uses_key_on_offer) {
            if let Some(next) = self.keys_of(&id).and_then(|keys| keys.secondary) {
                self.settle_key(&id, &next.id).await?;
            }
        }
        let now = self.clock().unix_millis();
        let offered_for = u64::try_from(OFFERED_FOR.as_millis()).unwrap_or(u64::MAX);
        let unused = self.agents_that(|agent| {
            let next = agent.record.keys.secondary.as_ref();
            next.is_some_and(|next| next.since.saturating_add(offered_for) <= now)
                && !agent.uses_key_on_offer()
        });
        for id in unused {
            self.withdraw_key(&id).await?;
        }
        let Some(lifetime) = self.options().key_lifetime else {
            return Ok(());
        };
        let (mut agents, mut begun) = (0, 0);
        let is_due = |agent: &Agent| agent.can_change_key() && agent.key_due_at(lifetime) <= now;
        let due = self.agents_that(|agent| {
            agents += 1;
            begun += usize::from(agent.key_change_begun_at().saturating_add(MINUTE_MS) > now);
            is_due(agent)
        });
        let room = begun_per_minute(agents, lifetime).saturating_sub(begun);
        for id in due.into_iter().take(room) {
            let still_due = || self.registry().get(&id).is_some_and(is_due);
            if let Some(key_id) = self.offer_another_key(&id, still_due).await? {
                self.audit_key(&id, "master", &key_id, "asked", "its key is old enough");
            }
        }
        Ok(())
    }
}

/// Sees to keys that are old, or were offered in vain, until `stop`.
pub(in super::super) async fn run(fleet: &Fleet, stop: &CancellationToken) {
    let lifetime = fleet.options().key_lifetime;
    let (most_often, least_often) = LOOK;
    let pause = lifetime.map_or(least_often, |lifetime| {
        (lifetime / 20).clamp(most_often, least_often)
    });
    loop {
        let looked = async {
            sleep(pause).await;
            fleet.look_at_keys().await
        };
        tokio::select! {
            () = stop.cancelled() => return,
            looked = looked => if let Err(error) = looked {
                warn!(%error, "agents' keys could not be changed; trying again");
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use nxmesh_core::testkit::sample;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// Keys of one day are due on many, none of them late.
    #[test]
    fn keys_are_due_in_the_last_tenth_of_their_lifetime_and_not_all_at_once() {
        let lifetime = Duration::from_millis(1_000_000);
        let due: Vec<u64> = (0..1000)
            .map(|number| {
                let key = sample::agent_key(&format!("key {number}"), 0);
                due_at(&key, lifetime) - key.since
            })
            .collect();
        assert!(due.iter().all(|due| (900_000..=1_000_000).contains(due)));
        for tenth in 0..10 {
            let from = 900_000 + 10_000 * tenth;
            let count = due
                .iter()
                .filter(|due| (from..from + 10_000).contains(*due))
                .count();
            assert!((60..140).contains(&count), "{count} from {from}");
        }
        assert_eq!(begun_per_minute(10_000, 90 * DAY), 64);
        assert_eq!(begun_per_minute(10_000, DAY / 24), 333);
        assert_eq!(begun_per_minute(10, Duration::from_secs(1)), 64);
        let forever = due_at(&sample::agent_key("key", 0), Duration::MAX);
        assert!(forever > u64::MAX / 2);
    }
}

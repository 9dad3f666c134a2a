//! Clause 10: the keys of agents.

use futures_util::future::join_all;

use super::*;
use crate::contract::storage::{AgentKeys, AgentRecord, keys_of};

/// An agent that was stored, with one key.
async fn enrolled(storage: &impl Storage) -> AgentRecord {
    let mut agent = sample::agent(1);
    agent.keys.secondary = None;
    let mut unit = begin(storage).await;
    unit.agents().put(&agent).await.expect("put an agent");
    commit(unit).await;
    agent
}

fn offering(keys: &AgentKeys, id: &str, byte: u8) -> AgentKeys {
    AgentKeys {
        secondary: Some(sample::agent_key(id, byte)),
        ..keys.clone()
    }
}

fn only(keys: &AgentKeys) -> AgentKeys {
    AgentKeys {
        primary: keys.secondary.clone().expect("a key on offer"),
        secondary: None,
    }
}

async fn change(
    storage: &impl Storage,
    agent: &AgentRecord,
    expected: &AgentKeys,
    keys: &AgentKeys,
) -> Result<(), StorageError> {
    let mut unit = storage.begin().await?;
    unit.agents().change_keys(&agent.id, expected, keys).await?;
    // Gives others every chance to come between.
    for _ in 0..3 {
        super::super::patience::step_aside().await;
    }
    unit.commit().await
}

async fn found(storage: &impl Storage, agent: &AgentRecord) -> AgentRecord {
    let mut unit = read(storage).await;
    let found = unit.agents().get(&agent.id).await.expect("read an agent");
    found.expect("the agent is there")
}

/// Keys are offered, take over and are withdrawn; each change is there when the
/// data is opened again, and nothing else of the agent changes with it.
pub async fn keys_of_agents_change_and_survive<R: Rig>() {
    let (mut rig, mut storage) = start::<R>().await;
    let agent = enrolled(&storage).await;
    let enrolled = agent.keys.clone();
    let offered = offering(&enrolled, "second", 2);
    let second = only(&offered);
    let again = offering(&second, "third", 3);
    let steps = [&enrolled, &offered, &second, &again, &second];
    for step in steps.windows(2) {
        let [before, after] = *step else { continue };
        let mut lost = begin(&storage).await;
        let changed = lost.agents().change_keys(&agent.id, before, after);
        changed.await.expect("change keys without a commit");
        drop(lost);
        assert_eq!(found(&storage, &agent).await.keys, *before);
        let changed = change(&storage, &agent, before, after).await;
        changed.expect("change keys");
        storage = rig.reopen(storage).await;
        let expected = AgentRecord {
            keys: after.clone(),
            ..agent.clone()
        };
        assert_eq!(found(&storage, &agent).await, expected);
    }
}

/// Whoever does not know the keys changes nothing.
pub async fn unexpected_keys_of_agents_are_a_conflict<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let agent = enrolled(&storage).await;
    let enrolled = agent.keys.clone();
    let offered = offering(&enrolled, "second", 2);
    let changed = change(&storage, &agent, &enrolled, &offered).await;
    changed.expect("change keys");
    let retired = only(&offered);
    for expected in [&enrolled, &offering(&enrolled, "third", 3), &retired] {
        let refused = change(&storage, &agent, expected, &retired).await;
        assert_conflict(refused, &keys_of(&agent.id));
        assert_eq!(found(&storage, &agent).await.keys, offered);
    }
    let stranger = sample::agent(2);
    let refused = change(&storage, &stranger, &stranger.keys, &retired).await;
    assert_conflict(refused, &keys_of(&stranger.id));
}

/// What is known of an agent is stored without a look at its keys: who does so
/// may not have heard yet that they changed.
pub async fn putting_an_agent_leaves_its_keys<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let agent = enrolled(&storage).await;
    let offered = offering(&agent.keys, "second", 2);
    let changed = change(&storage, &agent, &agent.keys, &offered).await;
    changed.expect("change keys");
    let newer = AgentRecord {
        boot_id: "newer".to_owned(),
        ..agent.clone()
    };
    let mut unit = begin(&storage).await;
    unit.agents().put(&newer).await.expect("put an agent");
    commit(unit).await;
    let expected = AgentRecord {
        keys: offered,
        ..newer
    };
    assert_eq!(found(&storage, &agent).await, expected);
}

/// Of many who offer a key at once one does.
pub async fn one_of_many_racing_key_changes_wins<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let agent = enrolled(&storage).await;
    let writers = (0..20_u8).map(|writer| {
        let (storage, agent) = (&storage, &agent);
        async move {
            let offered = offering(&agent.keys, &format!("key of {writer}"), writer);
            loop {
                match change(storage, agent, &agent.keys, &offered).await {
                    Err(error) if error.is_retryable() => {
                        super::super::patience::step_aside().await;
                    }
                    done => return (offered, done),
                }
            }
        }
    });
    let done = patiently("twenty changes of one agent's keys", join_all(writers)).await;
    let (won, lost): (Vec<_>, Vec<_>) = done.into_iter().partition(|(_, done)| done.is_ok());
    assert_eq!(won.len(), 1, "{won:?}");
    for (_, refused) in lost {
        assert_conflict(refused, &keys_of(&agent.id));
    }
    assert_eq!(found(&storage, &agent).await.keys, won[0].0);
}

//! Clauses 1 and 2: what units of work show and leave behind.

use super::*;
use crate::{
    contract::storage::{ListAgents, TokenOwner, TokenUse, User},
    digest::Digest,
    model::AgentId,
};

/// Clause 1: nothing is visible before `commit` returned, all of it is after.
pub async fn uncommitted_changes_are_invisible<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let shop = upstream("shop");
    let mut unit = begin(&storage).await;
    write_everything(&mut *unit, &shop).await;
    assert_nothing_is_stored(&storage, &shop).await;
    commit(unit).await;
    assert_everything_is_stored(&storage, &shop).await;
}

/// Clause 1: a unit that is dropped changes nothing, and blocks nobody after it.
pub async fn a_dropped_unit_leaves_no_trace<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let shop = upstream("shop");
    for _ in 0..3 {
        let mut unit = begin(&storage).await;
        write_everything(&mut *unit, &shop).await;
        drop(unit);
        assert_nothing_is_stored(&storage, &shop).await;
        assert_no_token_is_stored(&storage).await;
    }
    let mut unit = begin(&storage).await;
    write_everything(&mut *unit, &shop).await;
    commit(unit).await;
    assert_everything_is_stored(&storage, &shop).await;
}

/// Clause 1, seen from inside: a unit reads what it wrote itself.
pub async fn a_unit_sees_its_own_writes<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let shop = upstream("shop");
    let newer = changed(&shop, 2);
    let mut unit = begin(&storage).await;
    write_everything(&mut *unit, &shop).await;
    let again = revision(vec![put(&newer, Expected::Revision(1))]);
    let second = unit.revisions().append(again).await.expect("append again");
    assert_eq!(second.version.revision, 2);
    assert_eq!(unit.revisions().head().await.unwrap(), second.version);
    let workspace = WorkspaceName::default();
    let found = unit.resources().get(&workspace, &shop.key()).await.unwrap();
    let expected = StoredResource {
        revision: 2,
        resource: newer,
    };
    assert_eq!(found, Some(expected));
    let agent = sample::agent(1);
    assert_eq!(
        unit.agents().get(&agent.id).await.unwrap(),
        Some(agent.clone())
    );
    assert!(unit.agents().remove(&agent.id).await.unwrap());
    assert_eq!(unit.agents().get(&agent.id).await.unwrap(), None);
}

/// Clause 1: a reading unit shows one point in time, whatever is committed meanwhile.
pub async fn a_reader_keeps_its_point_in_time<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let shop = upstream("shop");
    append(&storage, revision(vec![put(&shop, Expected::Absent)]))
        .await
        .expect("append the first revision");
    let mut reader = read(&storage).await;
    assert_eq!(reader.revisions().head().await.unwrap().revision, 1);
    let newer = changed(&shop, 2);
    append(&storage, revision(vec![put(&newer, Expected::Revision(1))]))
        .await
        .expect("append the second revision");
    assert_eq!(reader.revisions().head().await.unwrap().revision, 1);
    let workspace = WorkspaceName::default();
    let seen = reader.resources().get(&workspace, &shop.key()).await;
    assert_eq!(seen.unwrap().map(|stored| stored.resource), Some(shop));
    assert_eq!(head(&storage).await, 2);
}

/// Clause 1: reading goes on while a unit that writes is open.
pub async fn a_reader_does_not_wait_for_a_writer<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let shop = upstream("shop");
    let mut writer = begin(&storage).await;
    write_everything(&mut *writer, &shop).await;
    let reading = async { assert_eq!(head(&storage).await, 0) };
    patiently("reading beside a writer", reading).await;
    commit(writer).await;
    assert_eq!(head(&storage).await, 1);
}

/// A unit from `read` refuses to write and changes nothing, even if it is committed.
pub async fn a_reader_cannot_write<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let shop = upstream("shop");
    let new = revision(vec![put(&shop, Expected::Any)]);
    let mut reader = read(&storage).await;
    let refused = reader.revisions().append(new).await;
    assert!(refused.is_err(), "{refused:?}");
    let mut other = read(&storage).await;
    let refused = other.agents().put(&sample::agent(1)).await;
    assert!(refused.is_err(), "{refused:?}");
    // Whether a failed unit can still be committed is its own affair.
    drop(reader.commit().await);
    drop(other.commit().await);
    assert_nothing_is_stored(&storage, &shop).await;
}

/// Clause 2: what was committed is there when the data is opened again, and
/// numbering goes on where it was.
pub async fn committed_changes_survive<R: Rig>() {
    let (mut rig, storage) = start::<R>().await;
    let shop = upstream("shop");
    let mut unit = begin(&storage).await;
    write_everything(&mut *unit, &shop).await;
    commit(unit).await;
    let before = history(&storage).await;
    let mut lost = begin(&storage).await;
    let change = put(&changed(&shop, 2), Expected::Any);
    lost.revisions()
        .append(revision(vec![change]))
        .await
        .expect("append without commit");
    drop(lost);

    let storage = patiently("opening again", rig.reopen(storage)).await;
    assert_everything_is_stored(&storage, &shop).await;
    assert_eq!(history(&storage).await, before);
    let change = put(&changed(&shop, 3), Expected::Revision(1));
    let next = append(&storage, revision(vec![change])).await;
    assert_eq!(next.expect("append after reopening").version.revision, 2);
}

fn user() -> User {
    User {
        name: "ada".parse().expect("a user name"),
        password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA".to_owned(),
        created_at: 1_700_000_000_000,
    }
}

fn owner() -> TokenOwner {
    TokenOwner {
        install_id: "install-1".to_owned(),
        agent: sample::agent_id(1),
    }
}

/// Writes to every aggregate.
async fn write_everything(unit: &mut dyn UnitOfWork, shop: &Arc<Resource>) {
    let token = sample::bootstrap_token("secret");
    let new = revision(vec![put(shop, Expected::Absent)]);
    unit.revisions().append(new).await.expect("append");
    let agent = sample::agent(1);
    unit.agents().put(&agent).await.expect("put an agent");
    let access = unit.access();
    access.put_user(&user()).await.expect("put a user");
    access.add_token(&token).await.expect("add a token");
    let used = access.use_token(&token.digest, &owner(), 1_500).await;
    assert!(matches!(used, Ok(TokenUse::Fresh(_))), "{used:?}");
}

async fn assert_nothing_is_stored(storage: &impl Storage, shop: &Resource) {
    assert_eq!(head(storage).await, 0);
    assert_eq!(history(storage).await, []);
    assert_eq!(stored(storage, shop).await, None);
    let mut unit = read(storage).await;
    assert_eq!(unit.resources().workspaces().await.unwrap(), []);
    assert_eq!(agents(&mut *unit).await, []);
    assert_eq!(unit.access().user_count().await.unwrap(), 0);
}

/// Tokens can only be looked at by using them, in a unit that is dropped; with
/// another writer open this would wait for it.
async fn assert_no_token_is_stored(storage: &impl Storage) {
    let mut unit = begin(storage).await;
    let digest = Digest::of(b"secret");
    let used = unit.access().use_token(&digest, &owner(), 1_500).await;
    assert_eq!(used.unwrap(), TokenUse::Unknown);
}

async fn assert_everything_is_stored(storage: &impl Storage, shop: &Arc<Resource>) {
    assert_eq!(head(storage).await, 1);
    let expected = StoredResource {
        revision: 1,
        resource: Arc::clone(shop),
    };
    assert_eq!(stored(storage, shop).await, Some(expected));
    let mut unit = read(storage).await;
    assert_eq!(agents(&mut *unit).await, [sample::agent(1).id]);
    let found = unit.access().user(&user().name).await.unwrap();
    assert_eq!(found, Some(user()));
    drop(unit);
    let mut unit = begin(storage).await;
    let digest = Digest::of(b"secret");
    let used = unit.access().use_token(&digest, &owner(), 1_500).await;
    assert!(matches!(used, Ok(TokenUse::Again(_))), "{used:?}");
}

async fn agents(unit: &mut dyn UnitOfWork) -> Vec<AgentId> {
    let agents = unit.agents().list(&ListAgents::default()).await;
    let agents = agents.expect("list agents");
    agents.into_iter().map(|agent| agent.id).collect()
}

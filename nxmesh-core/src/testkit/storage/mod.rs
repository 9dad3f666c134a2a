//! The conformance suite of [`Storage`].

mod access;
mod audit;
mod history;
mod keys;
mod lists;
mod units;

use std::sync::Arc;

use async_trait::async_trait;

pub use access::*;
pub use audit::*;
pub use history::*;
pub use keys::*;
pub use lists::*;
pub use units::*;

use super::{patience::patiently, sample};
use crate::{
    contract::storage::{
        Expected, ListRevisions, NewChange, NewRevision, Revision, Storage, StorageError,
        StoredResource, UnitOfWork,
    },
    model::{Resource, ResourceKey, value::WorkspaceName},
};

/// Makes storages to be tested. Dropping it removes what they left behind.
#[async_trait]
pub trait Rig: Sized + Send + Sync {
    /// The storage under test.
    type Subject: Storage;

    /// Opens a storage that is empty and nobody else's.
    async fn start() -> (Self, Self::Subject);

    /// Lets go of `subject` as the death of the process would, without a
    /// goodbye, and opens the same data again.
    async fn reopen(&mut self, subject: Self::Subject) -> Self::Subject;
}

/// Emits one test per clause of the [`Storage`](crate::contract::storage::Storage)
/// contract for a [`Rig`](crate::testkit::storage::Rig).
#[macro_export]
macro_rules! storage_conformance {
    ($rig:ty) => {
        $crate::storage_conformance! { @each $rig:
            // 1
            uncommitted_changes_are_invisible,
            a_dropped_unit_leaves_no_trace,
            a_unit_sees_its_own_writes,
            a_reader_keeps_its_point_in_time,
            a_reader_does_not_wait_for_a_writer,
            a_reader_cannot_write,
            // 2
            committed_changes_survive,
            // 3
            revisions_are_numbered_without_holes,
            many_writers_leave_no_holes,
            // 4
            a_conflict_changes_nothing,
            one_of_two_writers_wins,
            one_of_many_racing_writers_wins,
            malformed_change_sets_are_refused,
            // 5
            a_revision_records_before_and_after,
            resources_of_every_kind_come_back,
            workspaces_are_apart,
            // 6
            absence_is_an_answer,
            // 7
            resources_are_listed_by_key,
            revisions_are_listed_by_number,
            agents_are_listed_by_id,
            agents_come_back_as_they_were,
            users_come_back_as_they_were,
            // 8
            a_token_admits_one_install,
            an_expired_token_admits_nobody,
            a_token_use_is_undone_with_its_unit,
            one_of_many_racing_installs_gets_the_token,
            expired_tokens_are_removed,
            // 9
            audit_entries_are_numbered_and_listed,
            audit_entries_stay_as_they_are,
            racing_audit_entries_leave_no_holes,
            // 10
            keys_of_agents_change_and_survive,
            unexpected_keys_of_agents_are_a_conflict,
            putting_an_agent_leaves_its_keys,
            one_of_many_racing_key_changes_wins,
        }
    };
    (@each $rig:ty: $($clause:ident,)+) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testkit::storage::$clause::<$rig>().await;
            }
        )+
    };
}

async fn start<R: Rig>() -> (R, R::Subject) {
    patiently("opening an empty storage", R::start()).await
}

async fn begin(storage: &impl Storage) -> Box<dyn UnitOfWork> {
    patiently("beginning a unit of work", storage.begin())
        .await
        .expect("begin a unit of work")
}

async fn read(storage: &impl Storage) -> Box<dyn UnitOfWork> {
    patiently("beginning to read", storage.read())
        .await
        .expect("begin to read")
}

async fn commit(unit: Box<dyn UnitOfWork>) {
    patiently("committing", unit.commit())
        .await
        .expect("commit a unit of work");
}

/// Appends a revision in a unit of its own.
async fn append(storage: &impl Storage, new: NewRevision) -> Result<Revision, StorageError> {
    let mut unit = begin(storage).await;
    let revision = patiently("appending", unit.revisions().append(new)).await?;
    commit(unit).await;
    Ok(revision)
}

/// Tries again while a storage is busy, which it may be.
async fn append_patiently(
    storage: &impl Storage,
    new: impl Fn() -> NewRevision,
) -> Result<Revision, StorageError> {
    let attempts = async {
        loop {
            let result = attempt(storage, new()).await;
            match result {
                Err(error) if error.is_retryable() => super::patience::step_aside().await,
                done => return done,
            }
        }
    };
    patiently("appending among other writers", attempts).await
}

async fn attempt(storage: &impl Storage, new: NewRevision) -> Result<Revision, StorageError> {
    let mut unit = storage.begin().await?;
    let revision = unit.revisions().append(new).await?;
    // Gives others every chance to come between.
    for _ in 0..3 {
        super::patience::step_aside().await;
    }
    unit.commit().await?;
    Ok(revision)
}

async fn head(storage: &impl Storage) -> u64 {
    let mut unit = read(storage).await;
    let head = unit.revisions().head().await.expect("read the head");
    assert!(head.epoch >= 1, "epochs count from 1, the head says {head}");
    head.revision
}

async fn stored(storage: &impl Storage, resource: &Resource) -> Option<StoredResource> {
    let workspace = &resource.metadata().workspace;
    let mut unit = read(storage).await;
    unit.resources()
        .get(workspace, &resource.key())
        .await
        .expect("read a resource")
}

async fn history(storage: &impl Storage) -> Vec<Revision> {
    let all = ListRevisions {
        workspace: None,
        after: 0,
        limit: 1000,
    };
    let mut unit = read(storage).await;
    unit.revisions().list(&all).await.expect("list revisions")
}

fn upstream(name: &str) -> Arc<Resource> {
    Arc::new(sample::upstream(name).into())
}

/// The same resource with other content.
fn changed(resource: &Resource, keepalive: u32) -> Arc<Resource> {
    let mut resource = resource.clone();
    let Resource::Upstream(upstream) = &mut resource else {
        panic!("{} is not an upstream", resource.key());
    };
    upstream.spec.keepalive = Some(keepalive);
    Arc::new(resource)
}

fn put(resource: &Arc<Resource>, expected: Expected) -> NewChange {
    NewChange {
        key: resource.key(),
        expected,
        after: Some(Arc::clone(resource)),
    }
}

fn remove(key: ResourceKey, expected: Expected) -> NewChange {
    NewChange {
        key,
        expected,
        after: None,
    }
}

fn revision(changes: Vec<NewChange>) -> NewRevision {
    NewRevision {
        workspace: WorkspaceName::default(),
        author: "ada".to_owned(),
        message: "a change with \"quotes\", ünïcode\nand two lines".to_owned(),
        at: 1_700_000_000_123,
        changes,
    }
}

fn assert_conflict<T: std::fmt::Debug>(result: Result<T, StorageError>, what: &str) {
    match result {
        Err(StorageError::Conflict { what: named, .. }) => {
            assert!(named.contains(what), "{named} was named, not {what}");
        }
        other => panic!("a conflict about {what} was expected, there is {other:?}"),
    }
}

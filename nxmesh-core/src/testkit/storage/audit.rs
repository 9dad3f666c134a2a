//! Clause 9: the audit log.

use futures_util::future::join_all;

use super::{super::patience, Rig, begin, commit, read, start};
use crate::{
    contract::storage::{AuditEntry, ListAudit, NewAuditEntry, Storage, StorageError},
    model::value::WorkspaceName,
};

fn entry(name: &str, workspace: Option<&WorkspaceName>) -> NewAuditEntry {
    NewAuditEntry {
        at: 1_700_000_000_123,
        actor: "ada".to_owned(),
        action: "agent:reload".to_owned(),
        workspace: workspace.cloned(),
        subject: format!("agent/{name}"),
        act: format!("command-{name}"),
        outcome: "asked".to_owned(),
        detail: "a \"quoted\" reason,\nünïcode".to_owned(),
    }
}

async fn append(storage: &impl Storage, entry: NewAuditEntry) -> Result<AuditEntry, StorageError> {
    let mut unit = storage.begin().await?;
    let appended = unit.audit().append(entry).await?;
    // Gives others every chance to come between.
    for _ in 0..3 {
        patience::step_aside().await;
    }
    unit.commit().await?;
    Ok(appended)
}

async fn listed(storage: &impl Storage, query: ListAudit) -> Vec<AuditEntry> {
    let mut unit = read(storage).await;
    unit.audit().list(&query).await.expect("list the audit log")
}

async fn log(storage: &impl Storage, after: u64, limit: u32) -> Vec<AuditEntry> {
    let query = ListAudit {
        workspace: None,
        after,
        limit,
        newest_first: false,
    };
    listed(storage, query).await
}

fn numbers(entries: &[AuditEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.number).collect()
}

/// Numbers rise by one from 1; a list starts after its cursor, keeps to its
/// limit and to its workspace, from either end; a unit that is dropped takes no
/// number.
pub async fn audit_entries_are_numbered_and_listed<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    assert_eq!(log(&storage, 0, 10).await, []);
    let ours = WorkspaceName::default();
    let other: WorkspaceName = "other".parse().expect("a workspace name");
    let places = [Some(&ours), Some(&other), None, Some(&ours), Some(&other)];
    for (number, workspace) in (1..).zip(places) {
        let mut dropped = begin(&storage).await;
        let tried = dropped.audit().append(entry("dropped", workspace)).await;
        assert_eq!(tried.expect("append").number, number);
        drop(dropped);
        let appended = append(&storage, entry("kept", workspace)).await;
        assert_eq!(appended.expect("append").number, number);
    }
    assert_eq!(numbers(&log(&storage, 0, 10).await), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&log(&storage, 2, 2).await), [3, 4]);
    assert_eq!(log(&storage, 5, 2).await, []);
    assert_eq!(log(&storage, u64::MAX, 2).await, []);
    for (workspace, expected) in [(ours, [1, 4]), (other, [2, 5])] {
        let query = ListAudit {
            workspace: Some(workspace),
            after: 0,
            limit: 10,
            newest_first: false,
        };
        assert_eq!(numbers(&listed(&storage, query.clone()).await), expected);
        let query = ListAudit {
            after: u64::MAX,
            newest_first: true,
            ..query
        };
        let [first, last] = expected;
        assert_eq!(numbers(&listed(&storage, query).await), [last, first]);
    }
    for (after, limit, expected) in [
        (u64::MAX, 2, &[5, 4][..]),
        (4, 10, &[3, 2, 1]),
        (6, 1, &[5]),
        (1, 10, &[]),
        (0, 10, &[]),
    ] {
        let query = ListAudit {
            workspace: None,
            after,
            limit,
            newest_first: true,
        };
        assert_eq!(numbers(&listed(&storage, query).await), expected);
    }
}

/// Every field comes back, also after the process died.
pub async fn audit_entries_stay_as_they_are<R: Rig>() {
    let (mut rig, storage) = start::<R>().await;
    let workspace = WorkspaceName::default();
    let bare = NewAuditEntry {
        act: String::new(),
        detail: String::new(),
        ..entry("bare", None)
    };
    let mut unit = begin(&storage).await;
    let mut appended = Vec::new();
    for new in [entry("full", Some(&workspace)), bare] {
        let recorded = unit.audit().append(new.clone()).await.expect("append");
        assert_eq!(recorded.entry, new);
        appended.push(recorded);
    }
    commit(unit).await;
    assert_eq!(log(&storage, 0, 10).await, appended);
    let storage = rig.reopen(storage).await;
    assert_eq!(log(&storage, 0, 10).await, appended);
}

/// Whoever appends at the same time, each entry has a number of its own.
pub async fn racing_audit_entries_leave_no_holes<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let appends = join_all((0..20).map(|number| {
        let storage = &storage;
        async move {
            loop {
                match append(storage, entry(&format!("{number}"), None)).await {
                    Err(error) if error.is_retryable() => patience::step_aside().await,
                    done => return done.expect("append").number,
                }
            }
        }
    }));
    let mut given = patience::patiently("appending among others", appends).await;
    given.sort_unstable();
    let all: Vec<u64> = (1..=20).collect();
    assert_eq!(given, all);
    assert_eq!(numbers(&log(&storage, 0, 100).await), all);
}

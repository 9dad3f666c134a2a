//! Clauses 6 and 7: absence, order, cursors and limits.

use super::*;
use crate::{
    contract::storage::{AgentRecord, ListAgents, ListResources, User},
    model::{AgentFacts, ResourceKind},
};

/// Clause 6: what is not there is `None`, empty, zero or `false`.
pub async fn absence_is_an_answer<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let mut unit = begin(&storage).await;
    let shop = upstream("shop");
    let workspace = WorkspaceName::default();
    let resources = unit.resources();
    assert_eq!(resources.get(&workspace, &shop.key()).await.unwrap(), None);
    assert_eq!(resources.list(&of(None)).await.unwrap(), []);
    assert_eq!(resources.workspaces().await.unwrap(), []);
    let revisions = unit.revisions();
    assert_eq!(revisions.head().await.unwrap().revision, 0);
    for number in [0, 1, u64::MAX] {
        assert_eq!(revisions.get(number).await.unwrap(), None, "{number}");
    }
    for after in [0, 1, u64::MAX] {
        let listed = numbers(revisions.list(&above(after, 10)).await);
        assert!(listed.is_empty(), "{listed:?}");
    }
    let agents = unit.agents();
    let id = sample::agent_id(1);
    assert_eq!(agents.get(&id).await.unwrap(), None);
    assert_eq!(agents.list(&ListAgents::default()).await.unwrap(), []);
    assert!(!agents.remove(&id).await.unwrap());
    let access = unit.access();
    let name = "nobody".parse().expect("a user name");
    assert_eq!(access.user(&name).await.unwrap(), None);
    assert_eq!(access.user_count().await.unwrap(), 0);
    assert_eq!(
        access.remove_expired_tokens(u64::MAX >> 1).await.unwrap(),
        0
    );
    commit(unit).await;
}

const fn above(after: u64, limit: u32) -> ListRevisions {
    ListRevisions {
        workspace: None,
        after,
        limit,
    }
}

fn of(kind: Option<ResourceKind>) -> ListResources {
    ListResources {
        workspace: WorkspaceName::default(),
        kind,
        after: None,
        limit: None,
    }
}

fn numbers(revisions: Result<Vec<Revision>, StorageError>) -> Vec<u64> {
    let revisions = revisions.expect("list revisions");
    revisions.iter().map(|one| one.version.revision).collect()
}

/// Clause 7, of resources: by kind and name, after the cursor, within the limit.
pub async fn resources_are_listed_by_key<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    // Neither the order of insertion nor that of length.
    let names = ["c", "a-b", "a", "b10", "a.b", "b9"];
    let mut changes: Vec<NewChange> = names
        .iter()
        .map(|name| put(&upstream(name), Expected::Absent))
        .collect();
    let host = Arc::new(Resource::from(sample::virtual_host("z")));
    changes.push(put(&host, Expected::Absent));
    let expected: Vec<ResourceKey> = {
        let keys: std::collections::BTreeSet<_> =
            changes.iter().map(|one| one.key.clone()).collect();
        keys.into_iter().collect()
    };
    append(&storage, revision(changes)).await.expect("append");
    let mut unit = read(&storage).await;
    let mut list = async |query: ListResources| -> Vec<ResourceKey> {
        let found = unit.resources().list(&query).await.expect("list resources");
        assert!(found.iter().all(|stored| stored.revision == 1), "{found:?}");
        found.iter().map(|stored| stored.resource.key()).collect()
    };
    assert_eq!(list(of(None)).await, expected);
    let hosts = Some(ResourceKind::VirtualHost);
    assert_eq!(list(of(hosts)).await, [host.key()]);
    let certificates = Some(ResourceKind::Certificate);
    assert_eq!(list(of(certificates)).await, []);
    let upstreams = Some(ResourceKind::Upstream);
    let expected: Vec<ResourceKey> = expected
        .into_iter()
        .filter(|key| Some(key.kind) == upstreams)
        .collect();
    for limit in [1, 2, 5, 6, 100] {
        let mut after = None;
        let mut paged = Vec::new();
        loop {
            let page = list(ListResources {
                after: after.take(),
                limit: Some(limit),
                ..of(upstreams)
            })
            .await;
            assert!(page.len() <= limit as usize, "{limit}: {page:?}");
            match page.last() {
                Some(last) => after = Some(last.name.clone()),
                None => break,
            }
            paged.extend(page);
        }
        assert_eq!(paged, expected, "in pages of {limit}");
    }
    let beyond = ListResources {
        after: Some("zzz".parse().expect("a name")),
        ..of(upstreams)
    };
    assert_eq!(list(beyond).await, []);
    let elsewhere = ListResources {
        workspace: "other".parse().expect("a workspace name"),
        ..of(None)
    };
    assert_eq!(list(elsewhere).await, []);
}

/// Clause 7, of revisions: rising, above the cursor, of the workspace asked for.
pub async fn revisions_are_listed_by_number<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let other: WorkspaceName = "other".parse().expect("a workspace name");
    for number in 1..=12_u32 {
        let mut resource = Resource::clone(&changed(&upstream("shop"), number));
        let mut new = revision(vec![]);
        if number % 3 == 0
            && let Resource::Upstream(document) = &mut resource
        {
            document.metadata.workspace = other.clone();
            new.workspace = other.clone();
        }
        new.changes.push(put(&Arc::new(resource), Expected::Any));
        append(&storage, new).await.expect("append");
    }
    let mut unit = read(&storage).await;
    let mut list = async |query: ListRevisions| numbers(unit.revisions().list(&query).await);
    assert_eq!(list(above(0, 100)).await, (1..=12).collect::<Vec<_>>());
    assert_eq!(list(above(0, 5)).await, [1, 2, 3, 4, 5]);
    assert_eq!(list(above(5, 5)).await, [6, 7, 8, 9, 10]);
    assert_eq!(list(above(10, 5)).await, [11, 12]);
    assert!(list(above(12, 5)).await.is_empty());
    let of_other = |after, limit| ListRevisions {
        workspace: Some(other.clone()),
        ..above(after, limit)
    };
    assert_eq!(list(of_other(0, 100)).await, [3, 6, 9, 12]);
    assert_eq!(list(of_other(3, 2)).await, [6, 9]);
    let nobodys = ListRevisions {
        workspace: Some("nobodys".parse().expect("a workspace name")),
        ..above(0, 100)
    };
    assert!(list(nobodys).await.is_empty());
}

/// Clause 7, of agents.
pub async fn agents_are_listed_by_id<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let other: WorkspaceName = "other".parse().expect("a workspace name");
    let mut unit = begin(&storage).await;
    for number in [7, 3, 0x10, 1, 5, 2, 6, 4] {
        let mut agent = sample::agent(number);
        if number % 2 == 0 {
            agent.workspace = other.clone();
        }
        unit.agents().put(&agent).await.expect("put an agent");
    }
    commit(unit).await;
    let mut unit = read(&storage).await;
    let mut list = async |workspace: Option<&WorkspaceName>, after: Option<u32>, limit| {
        let query = ListAgents {
            workspace: workspace.cloned(),
            after: after.map(sample::agent_id),
            limit,
        };
        let agents = unit.agents().list(&query).await.expect("list agents");
        agents.into_iter().map(|agent| agent.id).collect::<Vec<_>>()
    };
    let ids =
        |numbers: &[u32]| -> Vec<_> { numbers.iter().map(|&one| sample::agent_id(one)).collect() };
    let all = [1, 2, 3, 4, 5, 6, 7, 0x10];
    assert_eq!(list(None, None, None).await, ids(&all));
    assert_eq!(list(None, None, Some(3)).await, ids(&all[..3]));
    assert_eq!(list(None, Some(3), Some(3)).await, ids(&all[3..6]));
    assert_eq!(list(None, Some(7), None).await, ids(&[0x10]));
    assert_eq!(list(None, Some(0x10), None).await, ids(&[]));
    assert_eq!(list(Some(&other), None, None).await, ids(&[2, 4, 6, 0x10]));
    assert_eq!(list(Some(&other), Some(2), Some(2)).await, ids(&[4, 6]));
    let nobodys = "nobodys".parse().expect("a workspace name");
    assert_eq!(list(Some(&nobodys), None, None).await, ids(&[]));
}

/// Every field of an agent comes back; `put` replaces all but its keys.
pub async fn agents_come_back_as_they_were<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let full = sample::agent(1);
    let bare = AgentRecord {
        labels: crate::model::Labels::new(),
        last_seen_at: 0,
        connection_sequence: 0,
        boot_id: String::new(),
        agent_version: String::new(),
        nginx_version: String::new(),
        facts: AgentFacts::default(),
        ..sample::agent(2)
    };
    let replaced = AgentRecord {
        workspace: "other".parse().expect("a workspace name"),
        connection_sequence: i64::MAX as u64,
        facts: bare.facts.clone(),
        labels: sample::agent(3).labels,
        ..full.clone()
    };
    for agent in [&full, &bare, &replaced] {
        let mut unit = begin(&storage).await;
        unit.agents().put(agent).await.expect("put an agent");
        commit(unit).await;
        let mut unit = read(&storage).await;
        let found = unit.agents().get(&agent.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(agent));
    }
    let mut unit = begin(&storage).await;
    assert!(unit.agents().remove(&full.id).await.unwrap());
    assert!(!unit.agents().remove(&full.id).await.unwrap());
    commit(unit).await;
    let mut unit = read(&storage).await;
    let left = unit.agents().list(&ListAgents::default()).await.unwrap();
    assert_eq!(left, [bare]);
}

/// Users come back; `put_user` replaces.
pub async fn users_come_back_as_they_were<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let user = |name: &str, password_hash: &str| User {
        name: name.parse().expect("a user name"),
        password_hash: password_hash.to_owned(),
        created_at: 1_700_000_000_000,
    };
    let users = [
        user("ada", "old"),
        user("grace", "hash"),
        user("ada", "new"),
    ];
    for one in &users {
        let mut unit = begin(&storage).await;
        unit.access().put_user(one).await.expect("put a user");
        commit(unit).await;
    }
    let mut unit = read(&storage).await;
    let access = unit.access();
    assert_eq!(access.user_count().await.unwrap(), 2);
    for one in &users[1..] {
        assert_eq!(access.user(&one.name).await.unwrap().as_ref(), Some(one));
    }
}

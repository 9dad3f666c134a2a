//! Clauses 3 to 5: numbering, conflicts and what is recorded.

use futures_util::future::join_all;

use super::*;
use crate::contract::storage::ResourceChange;

/// Clause 3: dropped units and conflicts leave no holes.
pub async fn revisions_are_numbered_without_holes<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    assert_eq!(head(&storage).await, 0);
    for number in 1..=5 {
        let mut dropped = begin(&storage).await;
        let change = put(&upstream("dropped"), Expected::Any);
        let lost = dropped.revisions().append(revision(vec![change])).await;
        assert_eq!(lost.expect("append").version.revision, number);
        drop(dropped);

        let change = put(&upstream("shop"), Expected::Revision(77));
        assert_conflict(append(&storage, revision(vec![change])).await, "shop");

        let change = put(&upstream("shop"), Expected::Any);
        let kept = append(&storage, revision(vec![change])).await;
        assert_eq!(kept.expect("append").version.revision, number);
        assert_eq!(head(&storage).await, number);
    }
    assert_numbered(&storage, 5).await;
}

/// Clause 3: forty writers at once get the numbers 1 to 40.
pub async fn many_writers_leave_no_holes<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let writers = (0..40).map(|writer| {
        let storage = &storage;
        async move {
            let resource = upstream(&format!("shop-{writer}"));
            if writer % 4 == 0 {
                let mut unit = begin(storage).await;
                let change = put(&upstream("dropped"), Expected::Any);
                drop(unit.revisions().append(revision(vec![change])).await);
                drop(unit);
            }
            let new = || revision(vec![put(&resource, Expected::Absent)]);
            let appended = append_patiently(storage, new).await.expect("append");
            (appended.version.revision, resource)
        }
    });
    let appended = join_all(writers).await;
    let mut numbers: Vec<u64> = appended.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    for (number, resource) in appended {
        let found = stored(&storage, &resource)
            .await
            .map(|found| found.revision);
        assert_eq!(found, Some(number), "{}", resource.key());
    }
    assert_numbered(&storage, 40).await;
}

async fn assert_numbered(storage: &impl Storage, last: u64) {
    let history = history(storage).await;
    let numbers: Vec<u64> = history.iter().map(|kept| kept.version.revision).collect();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    assert_eq!(head(storage).await, last);
}

/// Clause 4: a change set with one conflict changes nothing, wherever the
/// conflict stands in it, and the state is named.
pub async fn a_conflict_changes_nothing<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let (shop, blog) = (upstream("shop"), upstream("blog"));
    let first = revision(vec![put(&shop, Expected::Absent)]);
    append(&storage, first).await.expect("append");

    let newer = changed(&shop, 2);
    for conflict in [
        put(&newer, Expected::Absent),
        put(&newer, Expected::Revision(2)),
        put(&newer, Expected::Revision(0)),
        remove(shop.key(), Expected::Absent),
        remove(shop.key(), Expected::Revision(9)),
    ] {
        let fine = put(&blog, Expected::Absent);
        let first = revision(vec![conflict.clone(), fine.clone()]);
        let last = revision(vec![fine, conflict]);
        assert_conflict(append(&storage, first).await, "Upstream/shop");
        assert_conflict(append(&storage, last).await, "Upstream/shop");
    }
    for conflict in [
        put(&blog, Expected::Revision(1)),
        remove(blog.key(), Expected::Any),
        remove(blog.key(), Expected::Absent),
        remove(blog.key(), Expected::Revision(1)),
    ] {
        let fine = put(&newer, Expected::Revision(1));
        let last = revision(vec![fine, conflict]);
        assert_conflict(append(&storage, last).await, "Upstream/blog");
    }
    // Even a unit that goes on after the conflict and commits.
    let mut unit = begin(&storage).await;
    let fine = put(&newer, Expected::Revision(1));
    let conflict = put(&blog, Expected::Revision(1));
    let refused = unit.revisions().append(revision(vec![fine, conflict]));
    assert_conflict(refused.await, "Upstream/blog");
    drop(unit.commit().await);

    assert_eq!(head(&storage).await, 1);
    assert_eq!(stored(&storage, &blog).await, None);
    let kept = StoredResource {
        revision: 1,
        resource: Arc::clone(&shop),
    };
    assert_eq!(stored(&storage, &shop).await, Some(kept));
}

/// Clause 4: two writers saw the same state; the second is told of the first.
pub async fn one_of_two_writers_wins<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let shop = upstream("shop");
    let first = revision(vec![put(&shop, Expected::Absent)]);
    append(&storage, first).await.expect("append");
    let seen = stored(&storage, &shop).await.expect("the resource");

    let winner = changed(&shop, 2);
    let change = put(&winner, Expected::Revision(seen.revision));
    append(&storage, revision(vec![change]))
        .await
        .expect("the first of two writers wins");
    let change = put(&changed(&shop, 3), Expected::Revision(seen.revision));
    assert_conflict(append(&storage, revision(vec![change])).await, "shop");
    let change = remove(shop.key(), Expected::Revision(seen.revision));
    assert_conflict(append(&storage, revision(vec![change])).await, "shop");

    let found = stored(&storage, &shop).await.expect("the resource");
    assert_eq!((found.revision, found.resource), (2, winner));
}

/// Clause 4: of twenty writers that expect the same state, at once, one wins,
/// round after round.
pub async fn one_of_many_racing_writers_wins<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let shop = upstream("shop");
    let mut expected = Expected::Absent;
    for round in 1..=3 {
        let writers = (0..20_u32).map(|writer| {
            let resource = changed(&shop, writer + 1);
            let storage = &storage;
            async move {
                let new = || revision(vec![put(&resource, expected)]);
                let result = append_patiently(storage, new).await;
                (Arc::clone(&resource), result)
            }
        });
        let (won, lost): (Vec<_>, Vec<_>) = join_all(writers)
            .await
            .into_iter()
            .partition(|(_, result)| result.is_ok());
        assert_eq!(won.len(), 1, "writers that won in round {round}");
        for (_, result) in lost {
            assert_conflict(result, "Upstream/shop");
        }
        let found = stored(&storage, &shop).await.expect("the resource");
        assert_eq!((found.revision, &found.resource), (round, &won[0].0));
        expected = Expected::Revision(found.revision);
    }
    assert_numbered(&storage, 3).await;
}

/// Clause 4: change sets that contradict themselves are refused.
pub async fn malformed_change_sets_are_refused<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let shop = upstream("shop");
    let mut elsewhere = revision(vec![put(&shop, Expected::Any)]);
    elsewhere.workspace = "other".parse().expect("a workspace name");
    let mislabelled = NewChange {
        key: upstream("blog").key(),
        ..put(&shop, Expected::Any)
    };
    for malformed in [
        revision(vec![]),
        revision(vec![put(&shop, Expected::Any), put(&shop, Expected::Any)]),
        revision(vec![mislabelled]),
        elsewhere,
    ] {
        assert_conflict(append(&storage, malformed).await, "");
    }
    assert_eq!(head(&storage).await, 0);
    assert_eq!(stored(&storage, &shop).await, None);
}

/// Clause 5: the history tells every change with the content before and after.
pub async fn a_revision_records_before_and_after<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let (shop, blog) = (upstream("shop"), upstream("blog"));
    let newer = changed(&shop, 2);
    let sets = [
        vec![put(&shop, Expected::Absent), put(&blog, Expected::Any)],
        vec![
            put(&newer, Expected::Revision(1)),
            remove(blog.key(), Expected::Revision(1)),
        ],
        vec![remove(shop.key(), Expected::Any)],
        vec![put(&shop, Expected::Absent)],
    ];
    let change = |before: Option<&Arc<Resource>>, after: Option<&Arc<Resource>>| ResourceChange {
        key: before.or(after).map(|one| one.key()).expect("a change"),
        before: before.cloned(),
        after: after.cloned(),
    };
    let recorded = [
        // By key, in whatever order they were given.
        vec![change(None, Some(&blog)), change(None, Some(&shop))],
        vec![change(Some(&blog), None), change(Some(&shop), Some(&newer))],
        vec![change(Some(&newer), None)],
        vec![change(None, Some(&shop))],
    ];
    for (number, (set, expected)) in (1..).zip(sets.into_iter().zip(recorded)) {
        let new = revision(set);
        let appended = append(&storage, new.clone()).await.expect("append");
        assert_eq!(appended.version.revision, number);
        assert_eq!(appended.workspace, new.workspace);
        assert_eq!(appended.author, new.author);
        assert_eq!(appended.message, new.message);
        assert_eq!(appended.at, new.at);
        assert_eq!(appended.changes, expected);
        let mut unit = read(&storage).await;
        let found = unit.revisions().get(number).await.unwrap();
        assert_eq!(found.as_ref(), Some(&appended));
    }
    assert_eq!(stored(&storage, &blog).await, None);
    let found = stored(&storage, &shop).await.expect("the resource");
    assert_eq!((found.revision, found.resource), (4, shop));
}

/// Clause 5: a document of every kind comes back as it was, private keys too.
pub async fn resources_of_every_kind_come_back<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let resources = [
        Resource::from(sample::tls_virtual_host("shop")),
        sample::upstream("shop").into(),
        sample::certificate("shop").into(),
    ]
    .map(Arc::new);
    let changes = resources.iter().map(|one| put(one, Expected::Absent));
    let appended = append(&storage, revision(changes.collect()))
        .await
        .expect("append");
    for (resource, change) in resources.iter().zip(&appended.changes) {
        let found = stored(&storage, resource).await.expect("the resource");
        assert_eq!(&found.resource, resource);
        assert_eq!(found.resource.digest(), resource.digest());
        assert_eq!(change.after.as_ref(), Some(resource));
    }
    assert_eq!(history(&storage).await, [appended]);
}

/// Clauses 4, 5: a name in one workspace is not the name in another, while all
/// share one numbering.
pub async fn workspaces_are_apart<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let ours = upstream("shop");
    let mut theirs = Resource::clone(&ours);
    let Resource::Upstream(document) = &mut theirs else {
        panic!("an upstream was made");
    };
    document.metadata.workspace = "other".parse().expect("a workspace name");
    document.spec.keepalive = Some(7);
    let theirs = Arc::new(theirs);
    let in_other = |changes| NewRevision {
        workspace: theirs.metadata().workspace.clone(),
        ..revision(changes)
    };
    let change = put(&ours, Expected::Absent);
    append(&storage, revision(vec![change]))
        .await
        .expect("ours");
    let change = put(&theirs, Expected::Absent);
    append(&storage, in_other(vec![change]))
        .await
        .expect("theirs");

    let found = stored(&storage, &ours).await.expect("ours");
    assert_eq!((found.revision, found.resource), (1, Arc::clone(&ours)));
    let found = stored(&storage, &theirs).await.expect("theirs");
    assert_eq!((found.revision, found.resource), (2, Arc::clone(&theirs)));
    let workspaces = read(&storage).await.resources().workspaces().await.unwrap();
    let names: Vec<&str> = workspaces.iter().map(WorkspaceName::as_str).collect();
    assert_eq!(names, ["default", "other"]);

    let change = remove(theirs.key(), Expected::Revision(2));
    append(&storage, in_other(vec![change]))
        .await
        .expect("theirs");
    assert_eq!(stored(&storage, &theirs).await, None);
    assert!(stored(&storage, &ours).await.is_some());
    let workspaces = read(&storage).await.resources().workspaces().await.unwrap();
    assert_eq!(workspaces, [WorkspaceName::default()]);
}

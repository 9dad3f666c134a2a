//! The history.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use nxmesh_core::{
    contract::storage::{
        Head, ListRevisions, NewRevision, ResourceChange, Revision, RevisionStore, StorageError,
    },
    model::{Resource, ResourceKey, Version},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::Expr,
};

use super::{
    entity::{change, head, revision},
    number::{from_column, to_column},
    resources::{self, ROWS_PER_STATEMENT},
    stored_form::StoredDocument,
    unit::{SqlUnit, Step},
};

/// The one row of `head`.
const HEAD: i32 = 1;

#[async_trait]
impl RevisionStore for SqlUnit {
    async fn head(&mut self) -> Result<Head, StorageError> {
        let step = self.reading("read the head")?;
        let head = head(&step).await;
        step.settle(head)
    }

    async fn append(&mut self, revision: NewRevision) -> Result<Revision, StorageError> {
        let step = self.writing("append a revision")?;
        let appended = append(&step, revision).await;
        step.settle(appended)
    }

    async fn get(&mut self, number: u64) -> Result<Option<Revision>, StorageError> {
        let step = self.reading("look a revision up")?;
        let found = get(&step, number).await;
        step.settle(found)
    }

    async fn list(&mut self, query: &ListRevisions) -> Result<Vec<Revision>, StorageError> {
        let step = self.reading("list revisions")?;
        let revisions = list(&step, query).await;
        step.settle(revisions)
    }
}

pub(super) async fn head(step: &Step<'_>) -> Result<Head, StorageError> {
    let row = head::Entity::find_by_id(HEAD)
        // The lock that puts writers in order; SQLite has it since BEGIN.
        .lock_exclusive()
        .one(step.transaction())
        .await
        .map_err(|error| step.failed(error))?
        .ok_or_else(|| step.backend().corrupt("the head", "it is missing"))?;
    version(step, row.epoch, row.revision)
}

fn version(step: &Step<'_>, epoch: i64, revision: i64) -> Result<Version, StorageError> {
    Ok(Version {
        epoch: from_column(step.backend(), "an epoch", epoch)?,
        revision: from_column(step.backend(), "a revision number", revision)?,
    })
}

async fn append(step: &Step<'_>, new: NewRevision) -> Result<Revision, StorageError> {
    new.verify()?;
    let head = head(step).await?;
    let keys = new.changes.iter().map(|change| &change.key);
    let mut current = resources::find(step, &new.workspace, keys).await?;
    for change in &new.changes {
        change.verify(current.get(&change.key).map(|stored| stored.revision))?;
    }

    let mut changes: Vec<ResourceChange> = new
        .changes
        .into_iter()
        .map(|change| ResourceChange {
            before: current.remove(&change.key).map(|stored| stored.resource),
            after: change.after,
            key: change.key,
        })
        .collect();
    changes.sort_by(|one, other| one.key.cmp(&other.key));
    let revision = Revision {
        version: Version {
            revision: head.revision + 1,
            ..head
        },
        workspace: new.workspace,
        author: new.author,
        message: new.message,
        at: new.at,
        changes,
    };

    advance(step, head, revision.version).await?;
    record(step, &revision).await?;
    let changed: Vec<_> = revision
        .changes
        .iter()
        .filter_map(|change| change.after.as_ref())
        .collect();
    resources::put(step, revision.version.revision, &changed).await?;
    let removed = revision
        .changes
        .iter()
        .filter(|change| change.after.is_none())
        .map(|change| &change.key);
    resources::remove(step, &revision.workspace, removed).await?;
    Ok(revision)
}

async fn advance(step: &Step<'_>, from: Head, to: Version) -> Result<(), StorageError> {
    let moved = head::Entity::update_many()
        .col_expr(head::Column::Revision, Expr::value(to_column(to.revision)))
        .filter(head::Column::Id.eq(HEAD))
        .filter(head::Column::Revision.eq(to_column(from.revision)))
        .exec(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    match moved.rows_affected {
        1 => Ok(()),
        rows => Err(step
            .backend()
            .corrupt("the head", format!("{rows} rows have moved from {from}"))),
    }
}

async fn record(step: &Step<'_>, new: &Revision) -> Result<(), StorageError> {
    let row = revision::ActiveModel {
        number: Set(to_column(new.version.revision)),
        epoch: Set(to_column(new.version.epoch)),
        workspace: Set(new.workspace.to_string()),
        author: Set(new.author.clone()),
        message: Set(new.message.clone()),
        at: Set(to_column(new.at)),
    };
    revision::Entity::insert(row)
        .exec_without_returning(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    for changes in new.changes.chunks(ROWS_PER_STATEMENT) {
        let rows = changes
            .iter()
            .map(|change| change_row(step, new.version.revision, change))
            .collect::<Result<Vec<_>, _>>()?;
        change::Entity::insert_many(rows)
            .exec_without_returning(step.transaction())
            .await
            .map_err(|error| step.failed(error))?;
    }
    Ok(())
}

async fn get(step: &Step<'_>, number: u64) -> Result<Option<Revision>, StorageError> {
    let row = revision::Entity::find_by_id(to_column(number))
        .one(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    let revisions = with_changes(step, row.into_iter().collect()).await?;
    Ok(revisions.into_iter().next())
}

async fn list(step: &Step<'_>, query: &ListRevisions) -> Result<Vec<Revision>, StorageError> {
    let mut select = revision::Entity::find()
        .filter(revision::Column::Number.gt(to_column(query.after)))
        .order_by_asc(revision::Column::Number)
        .limit(u64::from(query.limit));
    if let Some(workspace) = &query.workspace {
        select = select.filter(revision::Column::Workspace.eq(workspace.as_str()));
    }
    let rows = select
        .all(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    with_changes(step, rows).await
}

async fn with_changes(
    step: &Step<'_>,
    rows: Vec<revision::Model>,
) -> Result<Vec<Revision>, StorageError> {
    let mut changes = BTreeMap::<i64, Vec<ResourceChange>>::new();
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let numbers = rows.iter().map(|row| row.number);
        let found = change::Entity::find()
            .filter(change::Column::Revision.is_in(numbers))
            .all(step.transaction())
            .await
            .map_err(|error| step.failed(error))?;
        for row in found {
            let number = row.revision;
            let change = read_change(step, row)?;
            changes.entry(number).or_default().push(change);
        }
    }
    rows.into_iter()
        .map(|row| {
            let mut changes = changes.remove(&row.number).unwrap_or_default();
            changes.sort_by(|one, other| one.key.cmp(&other.key));
            let unfit = |error| {
                let what = format!("revision {}", row.number);
                step.backend().corrupt(what, error)
            };
            Ok(Revision {
                version: version(step, row.epoch, row.number)?,
                workspace: row.workspace.parse().map_err(unfit)?,
                author: row.author,
                message: row.message,
                at: from_column(step.backend(), "a revision's time", row.at)?,
                changes,
            })
        })
        .collect()
}

fn change_row(
    step: &Step<'_>,
    revision: u64,
    change: &ResourceChange,
) -> Result<change::ActiveModel, StorageError> {
    let seal = |side, resource: Option<&Arc<Resource>>| {
        let stored = resource
            .map(|resource| {
                StoredDocument::seal(step.key(), &place(revision, &change.key, side), resource)
            })
            .transpose()
            .map_err(|error| step.unstorable(error))?;
        Ok::<_, StorageError>(match stored {
            Some(stored) => (Some(stored.json), stored.secret),
            None => (None, None),
        })
    };
    let (before_document, before_secret) = seal(Side::Before, change.before.as_ref())?;
    let (after_document, after_secret) = seal(Side::After, change.after.as_ref())?;
    Ok(change::ActiveModel {
        revision: Set(to_column(revision)),
        kind: Set(change.key.kind.as_str().to_owned()),
        name: Set(change.key.name.to_string()),
        before_document: Set(before_document),
        before_secret: Set(before_secret),
        after_document: Set(after_document),
        after_secret: Set(after_secret),
    })
}

fn read_change(step: &Step<'_>, row: change::Model) -> Result<ResourceChange, StorageError> {
    let revision = from_column(step.backend(), "a change's revision", row.revision)?;
    let key: ResourceKey = format!("{}/{}", row.kind, row.name)
        .parse()
        .map_err(|error| {
            step.backend()
                .corrupt(format!("a change of revision {revision}"), error)
        })?;
    let open = |side, json: Option<String>, secret| {
        let place = place(revision, &key, side);
        json.map(|json| StoredDocument { json, secret }.open(step.key(), &place))
            .transpose()
            .map(|resource| resource.map(Arc::new))
            .map_err(|error| step.backend().corrupt(place, error))
    };
    Ok(ResourceChange {
        before: open(Side::Before, row.before_document, row.before_secret)?,
        after: open(Side::After, row.after_document, row.after_secret)?,
        key,
    })
}

#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

/// What a secret is bound to.
fn place(revision: u64, key: &ResourceKey, side: Side) -> String {
    let side = match side {
        Side::Before => "before",
        Side::After => "after",
    };
    format!("changes/{revision}/{key}/{side}")
}

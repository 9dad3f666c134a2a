//! The resources as they are now.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use nxmesh_core::{
    contract::storage::{ListResources, ResourceStore, StorageError, StoredResource},
    model::{Resource, ResourceKey, ResourceKind, value::WorkspaceName},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::OnConflict,
};

use super::{
    entity::resource::{self, Column},
    number::{from_column, to_column},
    stored_form::StoredDocument,
    unit::{SqlUnit, Step},
};

/// How many rows one statement touches; SQLite takes 32,766 parameters.
pub(super) const ROWS_PER_STATEMENT: usize = 1000;

#[async_trait]
impl ResourceStore for SqlUnit {
    async fn get(
        &mut self,
        workspace: &WorkspaceName,
        key: &ResourceKey,
    ) -> Result<Option<StoredResource>, StorageError> {
        let step = self.reading("look a resource up")?;
        let found = find(&step, workspace, std::iter::once(key)).await;
        step.settle(found.map(|mut found| found.remove(key)))
    }

    async fn list(&mut self, query: &ListResources) -> Result<Vec<StoredResource>, StorageError> {
        let step = self.reading("list resources")?;
        let resources = list(&step, query).await;
        step.settle(resources)
    }

    async fn workspaces(&mut self) -> Result<Vec<WorkspaceName>, StorageError> {
        let step = self.reading("list workspaces")?;
        let workspaces = workspaces(&step).await;
        step.settle(workspaces)
    }
}

async fn list(step: &Step<'_>, query: &ListResources) -> Result<Vec<StoredResource>, StorageError> {
    let kinds = query
        .kind
        .as_ref()
        .map_or(&ResourceKind::ALL[..], std::slice::from_ref);
    let mut left = query.limit.map(u64::from);
    let mut resources = Vec::new();
    // Kind by kind: their order is not that of their names.
    for kind in kinds {
        let mut select = resource::Entity::find()
            .filter(Column::Workspace.eq(query.workspace.as_str()))
            .filter(Column::Kind.eq(kind.as_str()))
            .order_by_asc(Column::Name)
            .limit(left);
        if let (Some(after), Some(_)) = (&query.after, query.kind) {
            select = select.filter(Column::Name.gt(after.as_str()));
        }
        let rows = select
            .all(step.transaction())
            .await
            .map_err(|error| step.failed(error))?;
        left = left.map(|left| left.saturating_sub(rows.len() as u64));
        for row in rows {
            resources.push(stored(step, row)?);
        }
    }
    Ok(resources)
}

async fn workspaces(step: &Step<'_>) -> Result<Vec<WorkspaceName>, StorageError> {
    let names: Vec<String> = resource::Entity::find()
        .select_only()
        .column(Column::Workspace)
        .distinct()
        .order_by_asc(Column::Workspace)
        .into_tuple()
        .all(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    names
        .iter()
        .map(|name| {
            name.parse().map_err(|error| {
                step.backend()
                    .corrupt(format!("a workspace name {name:?}"), error)
            })
        })
        .collect()
}

/// Those of `keys` that are there.
pub(super) async fn find(
    step: &Step<'_>,
    workspace: &WorkspaceName,
    keys: impl Iterator<Item = &ResourceKey> + Send,
) -> Result<BTreeMap<ResourceKey, StoredResource>, StorageError> {
    let mut found = BTreeMap::new();
    for (kind, names) in by_kind(keys) {
        for names in names.chunks(ROWS_PER_STATEMENT) {
            let rows = resource::Entity::find()
                .filter(Column::Workspace.eq(workspace.as_str()))
                .filter(Column::Kind.eq(kind.as_str()))
                .filter(Column::Name.is_in(names.iter().copied()))
                .all(step.transaction())
                .await
                .map_err(|error| step.failed(error))?;
            for row in rows {
                let stored = stored(step, row)?;
                found.insert(stored.resource.key(), stored);
            }
        }
    }
    Ok(found)
}

/// Adds or replaces resources, as of `revision`.
pub(super) async fn put(
    step: &Step<'_>,
    revision: u64,
    resources: &[&Arc<Resource>],
) -> Result<(), StorageError> {
    for resources in resources.chunks(ROWS_PER_STATEMENT) {
        let rows = resources
            .iter()
            .map(|resource| row(step, revision, resource))
            .collect::<Result<Vec<_>, _>>()?;
        resource::Entity::insert_many(rows)
            .on_conflict(
                OnConflict::columns([Column::Workspace, Column::Kind, Column::Name])
                    .update_columns([Column::Revision, Column::Document, Column::Secret])
                    .to_owned(),
            )
            .exec_without_returning(step.transaction())
            .await
            .map_err(|error| step.failed(error))?;
    }
    Ok(())
}

pub(super) async fn remove(
    step: &Step<'_>,
    workspace: &WorkspaceName,
    keys: impl Iterator<Item = &ResourceKey> + Send,
) -> Result<(), StorageError> {
    for (kind, names) in by_kind(keys) {
        for names in names.chunks(ROWS_PER_STATEMENT) {
            resource::Entity::delete_many()
                .filter(Column::Workspace.eq(workspace.as_str()))
                .filter(Column::Kind.eq(kind.as_str()))
                .filter(Column::Name.is_in(names.iter().copied()))
                .exec(step.transaction())
                .await
                .map_err(|error| step.failed(error))?;
        }
    }
    Ok(())
}

fn by_kind<'a>(
    keys: impl Iterator<Item = &'a ResourceKey>,
) -> BTreeMap<ResourceKind, Vec<&'a str>> {
    let mut kinds = BTreeMap::<_, Vec<_>>::new();
    for key in keys {
        kinds.entry(key.kind).or_default().push(key.name.as_str());
    }
    kinds
}

fn row(
    step: &Step<'_>,
    revision: u64,
    resource: &Resource,
) -> Result<resource::ActiveModel, StorageError> {
    let metadata = resource.metadata();
    let (workspace, kind, name) = (
        metadata.workspace.as_str(),
        resource.kind().as_str(),
        metadata.name.as_str(),
    );
    let place = place(workspace, kind, name, revision);
    let stored = StoredDocument::seal(step.key(), &place, resource)
        .map_err(|error| step.unstorable(error))?;
    Ok(resource::ActiveModel {
        workspace: Set(workspace.to_owned()),
        kind: Set(kind.to_owned()),
        name: Set(name.to_owned()),
        revision: Set(to_column(revision)),
        document: Set(stored.json),
        secret: Set(stored.secret),
    })
}

fn stored(step: &Step<'_>, row: resource::Model) -> Result<StoredResource, StorageError> {
    let revision = from_column(step.backend(), "a resource's revision", row.revision)?;
    let place = place(&row.workspace, &row.kind, &row.name, revision);
    let document = StoredDocument {
        json: row.document,
        secret: row.secret,
    };
    let resource = document
        .open(step.key(), &place)
        .map_err(|error| step.backend().corrupt(&place, error))?;
    let is_itself = resource.kind().as_str() == row.kind
        && resource.metadata().name.as_str() == row.name
        && resource.metadata().workspace.as_str() == row.workspace;
    if !is_itself {
        return Err(step
            .backend()
            .corrupt(place, format!("it says it is {}", resource.key())));
    }
    Ok(StoredResource {
        revision,
        resource: Arc::new(resource),
    })
}

/// What a secret is bound to.
fn place(workspace: &str, kind: &str, name: &str, revision: u64) -> String {
    format!("resources/{workspace}/{kind}/{name}/{revision}")
}

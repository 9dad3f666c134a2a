//! The agents and what is known of them.

use async_trait::async_trait;
use nxmesh_core::{
    contract::storage::{
        AgentKey, AgentKeys, AgentRecord, AgentStore, ListAgents, StorageError, keys_of,
    },
    model::AgentId,
    seal::SessionKey,
};
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait as _, EntityTrait as _, Iterable as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::OnConflict,
};

use super::{
    entity::agent::{self, Column},
    number::{from_column, to_column},
    stored_form::{self, StoredFormError},
    unit::{SqlUnit, Step},
};
use crate::storage::SealError;

#[async_trait]
impl AgentStore for SqlUnit {
    async fn get(&mut self, id: &AgentId) -> Result<Option<AgentRecord>, StorageError> {
        let step = self.reading("look an agent up")?;
        let found = get(&step, id).await;
        step.settle(found)
    }

    async fn list(&mut self, query: &ListAgents) -> Result<Vec<AgentRecord>, StorageError> {
        let step = self.reading("list agents")?;
        let agents = list(&step, query).await;
        step.settle(agents)
    }

    async fn put(&mut self, agent: &AgentRecord) -> Result<(), StorageError> {
        let step = self.writing("store an agent")?;
        let stored = put(&step, agent).await;
        step.settle(stored)
    }

    async fn change_keys(
        &mut self,
        id: &AgentId,
        expected: &AgentKeys,
        keys: &AgentKeys,
    ) -> Result<(), StorageError> {
        let step = self.writing("change an agent's keys")?;
        let changed = change_keys(&step, id, expected, keys).await;
        step.settle(changed)
    }

    async fn remove(&mut self, id: &AgentId) -> Result<bool, StorageError> {
        let step = self.writing("forget an agent")?;
        let removed = agent::Entity::delete_by_id(id.as_str())
            .exec(step.transaction())
            .await
            .map(|deleted| deleted.rows_affected > 0)
            .map_err(|error| step.failed(error));
        step.settle(removed)
    }
}

async fn get(step: &Step<'_>, id: &AgentId) -> Result<Option<AgentRecord>, StorageError> {
    let row = agent::Entity::find_by_id(id.as_str())
        .one(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    row.map(|row| record(step, row)).transpose()
}

async fn list(step: &Step<'_>, query: &ListAgents) -> Result<Vec<AgentRecord>, StorageError> {
    let mut select = agent::Entity::find()
        .order_by_asc(Column::Id)
        .limit(query.limit.map(u64::from));
    if let Some(workspace) = &query.workspace {
        select = select.filter(Column::Workspace.eq(workspace.as_str()));
    }
    if let Some(after) = &query.after {
        select = select.filter(Column::Id.gt(after.as_str()));
    }
    let rows = select
        .all(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    rows.into_iter().map(|row| record(step, row)).collect()
}

async fn put(step: &Step<'_>, agent: &AgentRecord) -> Result<(), StorageError> {
    let row = row(step, agent).map_err(|error| step.unstorable(error))?;
    let others = Column::iter().filter(|column| !is_key(column));
    agent::Entity::insert(row)
        .on_conflict(
            OnConflict::column(Column::Id)
                .update_columns(others)
                .to_owned(),
        )
        .exec_without_returning(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    Ok(())
}

/// What stays when an agent is stored again.
const fn is_key(column: &Column) -> bool {
    matches!(
        column,
        Column::Id
            | Column::KeyId
            | Column::KeySecret
            | Column::KeySince
            | Column::NextKeyId
            | Column::NextKeySecret
            | Column::NextKeySince
    )
}

async fn change_keys(
    step: &Step<'_>,
    id: &AgentId,
    expected: &AgentKeys,
    keys: &AgentKeys,
) -> Result<(), StorageError> {
    let row = agent::Entity::find_by_id(id.as_str())
        // Of two who change them at once one waits; SQLite has it since BEGIN.
        .lock_exclusive()
        .one(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    let Some(row) = row else {
        return Err(StorageError::Conflict {
            what: keys_of(id),
            expected: expected.to_string(),
            found: "no such agent".to_owned(),
        });
    };
    record(step, row)?.keys.verify(id, expected)?;
    let mut changed = agent::ActiveModel {
        id: Unchanged(id.to_string()),
        ..Default::default()
    };
    set_keys(step, &mut changed, id, keys).map_err(|error| step.unstorable(error))?;
    agent::Entity::update(changed)
        .exec(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    Ok(())
}

fn set_keys(
    step: &Step<'_>,
    row: &mut agent::ActiveModel,
    id: &AgentId,
    keys: &AgentKeys,
) -> Result<(), StoredFormError> {
    let seal = |key: &AgentKey| {
        let place = place(id.as_str(), &key.id);
        step.key().seal(&place, key.secret.expose())
    };
    let (primary, secondary) = (&keys.primary, keys.secondary.as_ref());
    row.key_id = Set(primary.id.clone());
    row.key_secret = Set(seal(primary)?);
    row.key_since = Set(to_column(primary.since));
    row.next_key_id = Set(secondary.map(|key| key.id.clone()));
    row.next_key_secret = Set(secondary.map(seal).transpose()?);
    row.next_key_since = Set(secondary.map(|key| to_column(key.since)));
    Ok(())
}

fn row(step: &Step<'_>, agent: &AgentRecord) -> Result<agent::ActiveModel, StoredFormError> {
    let mut row = agent::ActiveModel {
        id: Set(agent.id.to_string()),
        workspace: Set(agent.workspace.to_string()),
        install_id: Set(agent.install_id.clone()),
        hostname: Set(agent.hostname.clone()),
        labels: Set(stored_form::encode(&agent.labels)?),
        enrolled_at: Set(to_column(agent.enrolled_at)),
        last_seen_at: Set(to_column(agent.last_seen_at)),
        connection_sequence: Set(agent.connection_sequence.cast_signed()),
        boot_id: Set(agent.boot_id.clone()),
        agent_version: Set(agent.agent_version.clone()),
        nginx_version: Set(agent.nginx_version.clone()),
        facts: Set(stored_form::encode(&agent.facts)?),
        ..Default::default()
    };
    set_keys(step, &mut row, &agent.id, &agent.keys)?;
    Ok(row)
}

fn record(step: &Step<'_>, row: agent::Model) -> Result<AgentRecord, StorageError> {
    let backend = step.backend();
    let what = format!("agent {}", row.id);
    let primary = key(step, &row.id, row.key_id, &row.key_secret, row.key_since)?;
    let secondary = match (row.next_key_id, row.next_key_secret, row.next_key_since) {
        (Some(id), Some(secret), Some(since)) => Some(key(step, &row.id, id, &secret, since)?),
        (None, None, None) => None,
        _ => return Err(backend.corrupt(&what, "the key on offer is there by half")),
    };
    let unreadable = |error| backend.corrupt(&what, error);
    let unfit = |error| backend.corrupt(&what, error);
    Ok(AgentRecord {
        id: row.id.parse().map_err(unfit)?,
        workspace: row.workspace.parse().map_err(unfit)?,
        install_id: row.install_id,
        hostname: row.hostname,
        labels: stored_form::decode(&row.labels).map_err(unreadable)?,
        keys: AgentKeys { primary, secondary },
        enrolled_at: from_column(backend, "an agent's enrolment time", row.enrolled_at)?,
        last_seen_at: from_column(backend, "an agent's last sight", row.last_seen_at)?,
        connection_sequence: row.connection_sequence.cast_unsigned(),
        boot_id: row.boot_id,
        agent_version: row.agent_version,
        nginx_version: row.nginx_version,
        facts: stored_form::decode(&row.facts).map_err(unreadable)?,
    })
}

fn key(
    step: &Step<'_>,
    agent: &str,
    id: String,
    sealed: &[u8],
    since: i64,
) -> Result<AgentKey, StorageError> {
    let backend = step.backend();
    let place = place(agent, &id);
    let secret = step
        .key()
        .open(&place, sealed)
        .and_then(|bytes| SessionKey::from_slice(&bytes).ok_or(SealError::NotOpened))
        .map_err(|error| backend.corrupt(place, error))?;
    let since = from_column(backend, "the time of an agent's key", since)?;
    Ok(AgentKey { id, secret, since })
}

/// What a session key is bound to.
fn place(agent: &str, key: &str) -> String {
    format!("agents/{agent}/key/{key}")
}

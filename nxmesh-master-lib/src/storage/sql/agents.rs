//! The agents and what is known of them.

use async_trait::async_trait;
use nxmesh_core::{
    contract::storage::{AgentKey, AgentRecord, AgentStore, ListAgents, StorageError},
    model::AgentId,
    seal::SessionKey,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, Iterable as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, sea_query::OnConflict,
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
    let others = Column::iter().filter(|column| !matches!(column, Column::Id));
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

fn row(step: &Step<'_>, agent: &AgentRecord) -> Result<agent::ActiveModel, StoredFormError> {
    let place = place(agent.id.as_str(), &agent.key.id);
    Ok(agent::ActiveModel {
        id: Set(agent.id.to_string()),
        workspace: Set(agent.workspace.to_string()),
        install_id: Set(agent.install_id.clone()),
        hostname: Set(agent.hostname.clone()),
        labels: Set(stored_form::encode(&agent.labels)?),
        key_id: Set(agent.key.id.clone()),
        key_secret: Set(step.key().seal(&place, agent.key.secret.expose())?),
        enrolled_at: Set(to_column(agent.enrolled_at)),
        last_seen_at: Set(to_column(agent.last_seen_at)),
        connection_sequence: Set(agent.connection_sequence.cast_signed()),
        boot_id: Set(agent.boot_id.clone()),
        agent_version: Set(agent.agent_version.clone()),
        nginx_version: Set(agent.nginx_version.clone()),
        facts: Set(stored_form::encode(&agent.facts)?),
    })
}

fn record(step: &Step<'_>, row: agent::Model) -> Result<AgentRecord, StorageError> {
    let backend = step.backend();
    let what = format!("agent {}", row.id);
    let place = place(&row.id, &row.key_id);
    let secret = step
        .key()
        .open(&place, &row.key_secret)
        .and_then(|bytes| SessionKey::from_slice(&bytes).ok_or(SealError::NotOpened))
        .map_err(|error| backend.corrupt(place, error))?;
    let unreadable = |error| backend.corrupt(&what, error);
    let unfit = |error| backend.corrupt(&what, error);
    Ok(AgentRecord {
        id: row.id.parse().map_err(unfit)?,
        workspace: row.workspace.parse().map_err(unfit)?,
        install_id: row.install_id,
        hostname: row.hostname,
        labels: stored_form::decode(&row.labels).map_err(unreadable)?,
        key: AgentKey {
            id: row.key_id,
            secret,
        },
        enrolled_at: from_column(backend, "an agent's enrolment time", row.enrolled_at)?,
        last_seen_at: from_column(backend, "an agent's last sight", row.last_seen_at)?,
        connection_sequence: row.connection_sequence.cast_unsigned(),
        boot_id: row.boot_id,
        agent_version: row.agent_version,
        nginx_version: row.nginx_version,
        facts: stored_form::decode(&row.facts).map_err(unreadable)?,
    })
}

/// What a session key is bound to.
fn place(agent: &str, key: &str) -> String {
    format!("agents/{agent}/key/{key}")
}

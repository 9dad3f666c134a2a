//! The audit log.

use async_trait::async_trait;
use nxmesh_core::contract::storage::{
    AuditEntry, AuditStore, ListAudit, NewAuditEntry, StorageError,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::{
    entity::audit_entry::{self, Column},
    number::{from_column, to_column},
    revisions,
    unit::{SqlUnit, Step},
};

#[async_trait]
impl AuditStore for SqlUnit {
    async fn append(&mut self, entry: NewAuditEntry) -> Result<AuditEntry, StorageError> {
        let step = self.writing("append to the audit log")?;
        let appended = append(&step, entry).await;
        step.settle(appended)
    }

    async fn list(&mut self, query: &ListAudit) -> Result<Vec<AuditEntry>, StorageError> {
        let step = self.reading("list the audit log")?;
        let entries = list(&step, query).await;
        step.settle(entries)
    }
}

async fn append(step: &Step<'_>, entry: NewAuditEntry) -> Result<AuditEntry, StorageError> {
    // Its lock puts those who append in order too.
    revisions::head(step).await?;
    let last = audit_entry::Entity::find()
        .order_by_desc(Column::Number)
        .one(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    let last = last.map_or(Ok(0), |row| number(step, row.number))?;
    let entry = AuditEntry {
        number: last + 1,
        entry,
    };
    audit_entry::Entity::insert(row(&entry))
        .exec_without_returning(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    Ok(entry)
}

async fn list(step: &Step<'_>, query: &ListAudit) -> Result<Vec<AuditEntry>, StorageError> {
    let after = to_column(query.after);
    let all = audit_entry::Entity::find();
    let mut select = match query.newest_first {
        true => all
            .filter(Column::Number.lt(after))
            .order_by_desc(Column::Number),
        false => all
            .filter(Column::Number.gt(after))
            .order_by_asc(Column::Number),
    }
    .limit(u64::from(query.limit));
    if let Some(workspace) = &query.workspace {
        select = select.filter(Column::Workspace.eq(workspace.as_str()));
    }
    let rows = select
        .all(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    rows.into_iter().map(|row| entry(step, row)).collect()
}

fn number(step: &Step<'_>, column: i64) -> Result<u64, StorageError> {
    from_column(step.backend(), "an audit entry's number", column)
}

fn row(entry: &AuditEntry) -> audit_entry::ActiveModel {
    let AuditEntry { number, entry } = entry;
    audit_entry::ActiveModel {
        number: Set(to_column(*number)),
        at: Set(to_column(entry.at)),
        actor: Set(entry.actor.clone()),
        action: Set(entry.action.clone()),
        workspace: Set(entry.workspace.as_ref().map(ToString::to_string)),
        subject: Set(entry.subject.clone()),
        act: Set(entry.act.clone()),
        outcome: Set(entry.outcome.clone()),
        detail: Set(entry.detail.clone()),
    }
}

fn entry(step: &Step<'_>, row: audit_entry::Model) -> Result<AuditEntry, StorageError> {
    let what = format!("audit entry {}", row.number);
    let workspace = row.workspace.map(|name| name.parse()).transpose();
    Ok(AuditEntry {
        number: number(step, row.number)?,
        entry: NewAuditEntry {
            at: from_column(step.backend(), "an audit entry's time", row.at)?,
            actor: row.actor,
            action: row.action,
            workspace: workspace.map_err(|error| step.backend().corrupt(what, error))?,
            subject: row.subject,
            act: row.act,
            outcome: row.outcome,
            detail: row.detail,
        },
    })
}

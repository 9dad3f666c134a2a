//! Users and bootstrap tokens.

use async_trait::async_trait;
use nxmesh_core::{
    contract::storage::{AccessStore, BootstrapToken, StorageError, TokenOwner, TokenUse, User},
    digest::Digest,
    model::value::UserName,
};
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QuerySelect as _,
    sea_query::OnConflict,
};

use super::{
    entity::{bootstrap_token, user},
    number::{from_column, to_column},
    stored_form,
    unit::{SqlUnit, Step},
};

#[async_trait]
impl AccessStore for SqlUnit {
    async fn user(&mut self, name: &UserName) -> Result<Option<User>, StorageError> {
        let step = self.reading("look a user up")?;
        let found = find_user(&step, name).await;
        step.settle(found)
    }

    async fn user_count(&mut self) -> Result<u64, StorageError> {
        let step = self.reading("count users")?;
        let count = user::Entity::find()
            .count(step.transaction())
            .await
            .map_err(|error| step.failed(error));
        step.settle(count)
    }

    async fn put_user(&mut self, user: &User) -> Result<(), StorageError> {
        let step = self.writing("store a user")?;
        let stored = put_user(&step, user).await;
        step.settle(stored)
    }

    async fn add_token(&mut self, token: &BootstrapToken) -> Result<(), StorageError> {
        let step = self.writing("store a bootstrap token")?;
        let added = add_token(&step, token).await;
        step.settle(added)
    }

    async fn use_token(
        &mut self,
        digest: &Digest,
        owner: &TokenOwner,
        now: u64,
    ) -> Result<TokenUse, StorageError> {
        let step = self.writing("use a bootstrap token")?;
        let used = use_token(&step, digest, owner, now).await;
        step.settle(used)
    }

    async fn remove_expired_tokens(&mut self, now: u64) -> Result<u64, StorageError> {
        let step = self.writing("remove expired bootstrap tokens")?;
        let removed = bootstrap_token::Entity::delete_many()
            .filter(bootstrap_token::Column::ExpiresAt.lt(to_column(now)))
            .exec(step.transaction())
            .await
            .map(|deleted| deleted.rows_affected)
            .map_err(|error| step.failed(error));
        step.settle(removed)
    }
}

async fn find_user(step: &Step<'_>, name: &UserName) -> Result<Option<User>, StorageError> {
    let row = user::Entity::find_by_id(name.as_str())
        .one(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    row.map(|row| {
        Ok(User {
            name: name.clone(),
            password_hash: row.password_hash,
            created_at: from_column(step.backend(), "a user's creation time", row.created_at)?,
        })
    })
    .transpose()
}

async fn put_user(step: &Step<'_>, user: &User) -> Result<(), StorageError> {
    let row = user::ActiveModel {
        name: Set(user.name.to_string()),
        password_hash: Set(user.password_hash.clone()),
        created_at: Set(to_column(user.created_at)),
    };
    user::Entity::insert(row)
        .on_conflict(
            OnConflict::column(user::Column::Name)
                .update_columns([user::Column::PasswordHash, user::Column::CreatedAt])
                .to_owned(),
        )
        .exec_without_returning(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    Ok(())
}

async fn add_token(step: &Step<'_>, token: &BootstrapToken) -> Result<(), StorageError> {
    if find_token(step, &token.digest).await?.is_some() {
        return Err(StorageError::Conflict {
            what: "bootstrap token".to_owned(),
            expected: "absent".to_owned(),
            found: "present".to_owned(),
        });
    }
    let (install, agent) = match &token.used_by {
        Some(owner) => (
            Some(owner.install_id.clone()),
            Some(owner.agent.to_string()),
        ),
        None => (None, None),
    };
    let row = bootstrap_token::ActiveModel {
        digest: Set(token.digest.to_string()),
        workspace: Set(token.workspace.to_string()),
        labels: Set(stored_form::encode(&token.labels).map_err(|error| step.unstorable(error))?),
        created_at: Set(to_column(token.created_at)),
        expires_at: Set(to_column(token.expires_at)),
        used_by_install: Set(install),
        used_by_agent: Set(agent),
    };
    bootstrap_token::Entity::insert(row)
        .exec_without_returning(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    Ok(())
}

async fn use_token(
    step: &Step<'_>,
    digest: &Digest,
    owner: &TokenOwner,
    now: u64,
) -> Result<TokenUse, StorageError> {
    let Some(mut token) = find_token(step, digest).await? else {
        return Ok(TokenUse::Unknown);
    };
    if token.expires_at <= now {
        return Ok(TokenUse::Expired);
    }
    match &token.used_by {
        Some(user) if user.install_id == owner.install_id => return Ok(TokenUse::Again(token)),
        Some(_) => return Ok(TokenUse::UsedByAnother),
        None => {}
    }
    let used = bootstrap_token::ActiveModel {
        digest: Unchanged(digest.to_string()),
        used_by_install: Set(Some(owner.install_id.clone())),
        used_by_agent: Set(Some(owner.agent.to_string())),
        ..Default::default()
    };
    bootstrap_token::Entity::update(used)
        .exec(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    token.used_by = Some(owner.clone());
    Ok(TokenUse::Fresh(token))
}

async fn find_token(
    step: &Step<'_>,
    digest: &Digest,
) -> Result<Option<BootstrapToken>, StorageError> {
    let row = bootstrap_token::Entity::find_by_id(digest.to_string())
        // Of two who use a token at once one waits; SQLite has it since BEGIN.
        .lock_exclusive()
        .one(step.transaction())
        .await
        .map_err(|error| step.failed(error))?;
    row.map(|row| token(step, *digest, row)).transpose()
}

fn token(
    step: &Step<'_>,
    digest: Digest,
    row: bootstrap_token::Model,
) -> Result<BootstrapToken, StorageError> {
    let backend = step.backend();
    let what = format!("bootstrap token {}", digest.short());
    let unfit = |error| backend.corrupt(&what, error);
    let used_by = match (row.used_by_install, row.used_by_agent) {
        (Some(install_id), Some(agent)) => Some(TokenOwner {
            install_id,
            agent: agent.parse().map_err(unfit)?,
        }),
        (None, None) => None,
        _ => return Err(backend.corrupt(&what, "its owner is there by half")),
    };
    Ok(BootstrapToken {
        digest,
        workspace: row.workspace.parse().map_err(unfit)?,
        labels: stored_form::decode(&row.labels).map_err(|error| backend.corrupt(&what, error))?,
        created_at: from_column(backend, "a token's creation time", row.created_at)?,
        expires_at: from_column(backend, "a token's end", row.expires_at)?,
        used_by,
    })
}

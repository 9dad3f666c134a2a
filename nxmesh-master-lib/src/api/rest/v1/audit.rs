//! `GET /api/v1/audit`

use std::sync::Arc;

use axum::{Json, extract::State};
use nxmesh_core::{
    api::{AuditView, Page},
    contract::storage::{AuditEntry, ListAudit},
    model::value::{ValueError, WorkspaceName},
};
use serde::Deserialize;

use super::super::{Problem, RestState, extract::Parameters};
use crate::auth::Identity;

const MOST: u32 = 1000;

/// Which entries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct AuditQuery {
    /// Only those of this workspace.
    workspace: Option<WorkspaceName>,
    /// Those after this number.
    #[serde(default)]
    cursor: u64,
    #[serde(default = "hundred")]
    limit: u32,
}

const fn hundred() -> u32 {
    100
}

/// The audit log, oldest first.
pub(in super::super) async fn list(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    Parameters(query): Parameters<AuditQuery>,
) -> Result<Json<Page<AuditView>>, Problem> {
    identity.require("audit:read")?;
    if !(1..=MOST).contains(&query.limit) {
        let rule = ValueError {
            rule: "a limit is 1 to 1000",
            example: "100",
        };
        return Err(Problem::bad_value("query", "limit", rule));
    }
    let wanted = ListAudit {
        workspace: query.workspace,
        after: query.cursor,
        // One more tells whether there is a next page.
        limit: query.limit + 1,
    };
    let mut entries = state.fleet.audit_log(&wanted).await?;
    let limit = query.limit as usize;
    let is_more = entries.len() > limit;
    entries.truncate(limit);
    let last = entries.last().filter(|_| is_more);
    Ok(Json(Page {
        next: last.map(|entry| entry.number.to_string()),
        items: entries.into_iter().map(view).collect(),
    }))
}

fn view(AuditEntry { number, entry }: AuditEntry) -> AuditView {
    AuditView {
        number,
        at: entry.at,
        actor: entry.actor,
        action: entry.action,
        workspace: entry.workspace,
        subject: entry.subject,
        act: entry.act,
        outcome: entry.outcome,
        detail: entry.detail,
    }
}

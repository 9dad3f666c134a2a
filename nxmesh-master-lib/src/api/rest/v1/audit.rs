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
    /// Those that follow this number in the order.
    cursor: Option<u64>,
    #[serde(default = "hundred")]
    limit: u32,
    #[serde(default)]
    order: Order,
}

/// Which entries come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Oldest,
    Newest,
}

const fn hundred() -> u32 {
    100
}

/// The audit log, page by page from either end.
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
    let newest_first = query.order == Order::Newest;
    let wanted = ListAudit {
        workspace: query.workspace,
        after: query.cursor.unwrap_or(match newest_first {
            true => u64::MAX,
            false => 0,
        }),
        // One more tells whether there is a next page.
        limit: query.limit + 1,
        newest_first,
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

//! `/api/v1`, one file per resource.

pub(super) mod agents;
pub(super) mod apply;
pub(super) mod bootstrap_tokens;
mod documents;
pub(super) mod login;
mod page;
pub(super) mod resources;
pub(super) mod revisions;
pub(super) mod rollouts;

use nxmesh_core::api::WriteResponse;
use serde::Deserialize;

use crate::engine::Written;

/// The query of every write.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteQuery {
    /// Check and report only; nothing is stored.
    #[serde(default)]
    dry_run: bool,
    /// Why, for the history.
    #[serde(default)]
    message: String,
}

fn write_response(written: Written, dry_run: bool) -> WriteResponse {
    WriteResponse {
        version: written.version,
        dry_run,
        changes: written.changes,
        agents: written.agents,
        warnings: written.warnings,
    }
}

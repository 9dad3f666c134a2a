//! `/api/v1`, one file per resource.

pub(super) mod agents;
pub(super) mod apply;
pub(super) mod audit;
pub(super) mod bootstrap_tokens;
pub(super) mod commands;
mod documents;
pub(super) mod login;
pub(super) mod logs;
mod page;
pub(super) mod plan;
pub(super) mod resources;
pub(super) mod revisions;
pub(super) mod rollouts;
pub(super) mod schemas;

use nxmesh_core::{api::WriteResponse, model::value::ValueError};
use serde::Deserialize;

use super::Problem;
use crate::engine::Written;

const MESSAGE_BYTES: usize = 1000;

/// The query of every write.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteQuery {
    /// Check and report only; nothing is stored.
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    message: String,
}

impl WriteQuery {
    /// Why the write is made, for the history. People will see it in terminals.
    fn message(&mut self) -> Result<String, Problem> {
        if self.message.len() <= MESSAGE_BYTES && !self.message.contains(char::is_control) {
            return Ok(std::mem::take(&mut self.message));
        }
        let rule = ValueError {
            rule: "a message is one line of 1000 bytes at most",
            example: "raise the body limit of the shop",
        };
        Err(Problem::bad_value("query", "message", rule))
    }
}

fn write_response(written: Written, dry_run: bool) -> WriteResponse {
    WriteResponse {
        version: written.version,
        dry_run,
        changes: written.changes,
        agents: written.agents,
        concerned: Some(written.concerned),
        warnings: written.warnings,
    }
}

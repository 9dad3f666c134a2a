//! Lists in pages.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nxmesh_core::model::{Selector, value::ValueError};
use serde::Deserialize;

use super::super::Problem;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
    selector: Option<String>,
}

impl ListQuery {
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        limit(self.limit)
    }

    pub(super) fn selector(&self) -> Result<Selector, Problem> {
        self.selector
            .as_deref()
            .unwrap_or_default()
            .parse()
            .map_err(|error| Problem::bad_value("query", "selector", error))
    }

    /// The position after which the page begins.
    pub(super) fn after(&self) -> Result<Option<String>, Problem> {
        self.cursor.as_deref().map(decode).transpose()
    }
}

pub(super) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    let rule = ValueError {
        rule: "a limit is 1 to 1000",
        example: "100",
    };
    Err(Problem::bad_value("query", "limit", rule))
}

/// Makes a cursor of a position. Its form is nobody's business but ours.
pub(super) fn encode(position: &str) -> String {
    URL_SAFE_NO_PAD.encode(position)
}

fn decode(cursor: &str) -> Result<String, Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(bad_cursor)
}

pub(super) fn bad_cursor() -> Problem {
    let rule = ValueError {
        rule: "a cursor is the `next` of the page before, unchanged",
        example: "c2hvcA",
    };
    Problem::bad_value("query", "cursor", rule)
}

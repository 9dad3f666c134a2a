//! `nxmeshctl get audit`

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use nxmesh_core::api::Page;
use nxmesh_process::exit::{Exit, OrExit as _};
use serde_json::Value;

use crate::{
    client::Client,
    command::get::text,
    options::{GetArguments, ServerOptions},
    output::{self, Columns},
};

/// Entries shown unless more are asked for.
const USUAL: usize = 100;
/// The most the master tells at once.
const PAGE: usize = 1000;

/// Prints the newest entries, the newest of them last.
pub(crate) async fn run(
    options: &ServerOptions,
    arguments: &GetArguments,
    name: Option<&str>,
) -> anyhow::Result<Exit> {
    if name.is_some() || arguments.selector.is_some() {
        return Err(anyhow!("entries of the audit log have no names or labels"))
            .or_exit(Exit::Usage);
    }
    let client = Client::new(options)?;
    let since = arguments.since.map(|ago| millis_ago(ago.as_duration()));
    let most = match (arguments.limit, since) {
        (Some(most), _) => most,
        (None, Some(_)) => usize::MAX,
        (None, None) => USUAL,
    };
    let mut entries = newest(&client, most, since.unwrap_or_default()).await?;
    entries.reverse();
    output::list(&entries, &COLUMNS, arguments.output, arguments.no_headers)?;
    Ok(Exit::Success)
}

/// The newest entries, so many at most and none from before `since`.
async fn newest(client: &Client, most: usize, since: u64) -> anyhow::Result<Vec<Value>> {
    let mut entries: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    while entries.len() < most {
        let limit = (most - entries.len()).min(PAGE).to_string();
        let mut query = vec![("order", "newest"), ("limit", limit.as_str())];
        if let Some(cursor) = &cursor {
            query.push(("cursor", cursor));
        }
        let page: Page<Value> = client.get_anywhere("audit", &query).await?;
        for entry in page.items {
            if entry.pointer("/at").and_then(Value::as_u64) < Some(since) {
                return Ok(entries);
            }
            entries.push(entry);
        }
        // A cursor that stands still would never end.
        match page.next {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => break,
        }
    }
    entries.truncate(most);
    Ok(entries)
}

fn millis_ago(ago: Duration) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.saturating_sub(ago).as_millis()).unwrap_or(u64::MAX)
}

/// How the log looks.
pub(crate) const COLUMNS: Columns = Columns {
    heading: &[
        "number",
        "age",
        "actor",
        "action",
        "subject",
        "outcome",
        "detail",
        "workspace",
        "act",
    ],
    narrow: 7,
    row: |entry| {
        let at = entry.pointer("/at").and_then(Value::as_u64);
        let printed = |pointer| output::printable(&text(entry, pointer));
        vec![
            text(entry, "/number"),
            output::age(at.unwrap_or_default()),
            printed("/actor"),
            printed("/action"),
            printed("/subject"),
            printed("/outcome"),
            printed("/detail"),
            text(entry, "/workspace"),
            printed("/act"),
        ]
    },
    name: |entry| format!("audit/{}", text(entry, "/number")),
};

//! `nxmeshctl get`

use anyhow::anyhow;
use nxmesh_core::model::{Labels, ResourceKind, Selector};
use nxmesh_process::exit::{Exit, OrExit as _};
use serde_json::Value;

use crate::{
    client::Client,
    command::audit,
    options::{GetArguments, ServerOptions, Thing},
    output::{self, Columns},
};

pub(crate) async fn run(options: &ServerOptions, arguments: GetArguments) -> anyhow::Result<Exit> {
    let (thing, name) = arguments.target.split()?;
    if thing == Thing::Audit {
        return audit::run(options, &arguments, name).await;
    }
    if arguments.limit.is_some() || arguments.since.is_some() {
        return Err(anyhow!("-n and --since are for: nxmeshctl get audit")).or_exit(Exit::Usage);
    }
    let client = Client::new(options)?;
    let columns = columns(thing);
    let path = path(thing);
    if let Some(name) = name {
        let item = client
            .tagged(&format!("{path}/{}", segment(name)))
            .await?
            .document;
        output::one(&item, &columns, arguments.output, arguments.no_headers)?;
        return Ok(Exit::Success);
    }
    let mut items: Vec<Value> = client.list(path, &[]).await?;
    if let Some(selector) = &arguments.selector {
        items.retain(|item| matches(selector, item));
    }
    output::list(&items, &columns, arguments.output, arguments.no_headers)?;
    Ok(Exit::Success)
}

/// The path of a list within the workspace.
pub(crate) const fn path(thing: Thing) -> &'static str {
    match thing {
        Thing::Resource(kind) => kind.plural(),
        Thing::Agent => "agents",
        Thing::Revision => "revisions",
        // Of no workspace.
        Thing::Audit => "audit",
    }
}

/// A name as one segment of a path, whatever was typed.
pub(crate) fn segment(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            b'.' if name != "." && name != ".." => ".".to_owned(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Labels are at the top of agents and in the metadata of resources.
fn matches(selector: &Selector, item: &Value) -> bool {
    let labels = item
        .get("labels")
        .or_else(|| item.pointer("/metadata/labels"))
        .cloned()
        .unwrap_or_default();
    selector.matches(&serde_json::from_value::<Labels>(labels).unwrap_or_default())
}

pub(crate) fn text(item: &Value, pointer: &str) -> String {
    match item.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn joined(item: &Value, pointer: &str, field: &str) -> String {
    let values = item
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    values
        .iter()
        .map(|value| {
            if field.is_empty() {
                text(value, "")
            } else {
                text(value, field)
            }
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn labels(item: &Value, pointer: &str) -> String {
    let labels = item.pointer(pointer).and_then(Value::as_object);
    labels
        .map(|labels| {
            labels
                .iter()
                .map(|(key, value)| format!("{key}={}", text(value, "")))
                .collect::<Vec<_>>()
                .join(",")
        })
        .unwrap_or_default()
}

fn resource_name(item: &Value) -> String {
    format!("{}/{}", text(item, "/kind"), text(item, "/metadata/name"))
}

fn version(item: &Value, pointer: &str) -> String {
    item.pointer(pointer)
        .map(|version| text(version, "/revision"))
        .unwrap_or_default()
}

/// Whether an agent is connected, and what is special about it.
fn state(item: &Value) -> String {
    let connected = text(item, "/connected");
    let drained = item.pointer("/drained") == Some(&Value::Bool(true));
    let quarantined = item.pointer("/quarantine").is_some_and(Value::is_object);
    match (quarantined, drained) {
        (true, _) => format!("{connected},quarantined"),
        (false, true) => format!("{connected},drained"),
        (false, false) => connected,
    }
}

/// What is not well with an agent.
fn conditions(item: &Value) -> String {
    let is_set = |path: &str| item.pointer(path).is_some_and(|it| !it.is_null());
    let is_down = item.pointer("/health/running") == Some(&Value::Bool(false));
    let conditions = [
        ("nginx-down", is_down),
        ("nginx-astray", !is_down && is_set("/health/problem")),
        ("nginx-silent", is_set("/health/silent_since")),
        ("restarts-held-back", is_set("/health/held_back_since")),
        ("drift", is_set("/drift")),
        ("failed", is_set("/failure")),
        (
            "drained",
            item.pointer("/drained") == Some(&Value::Bool(true)),
        ),
        ("quarantined", is_set("/quarantine")),
    ];
    let there = conditions.iter().filter(|(_, is_there)| *is_there);
    let names: Vec<&str> = there.map(|(name, _)| *name).collect();
    names.join(",")
}

/// How a list of this kind of thing looks.
pub(crate) const fn columns(thing: Thing) -> Columns {
    match thing {
        Thing::Resource(ResourceKind::VirtualHost) => Columns {
            heading: &["name", "server names", "ports", "selector", "labels"],
            narrow: 4,
            row: |item| {
                vec![
                    text(item, "/metadata/name"),
                    joined(item, "/spec/server_names", ""),
                    joined(item, "/spec/listen", "/port"),
                    text(item, "/spec/selector"),
                    labels(item, "/metadata/labels"),
                ]
            },
            name: resource_name,
        },
        Thing::Resource(ResourceKind::Upstream) => Columns {
            heading: &["name", "servers", "labels"],
            narrow: 2,
            row: |item| {
                vec![
                    text(item, "/metadata/name"),
                    joined(item, "/spec/servers", "/address"),
                    labels(item, "/metadata/labels"),
                ]
            },
            name: resource_name,
        },
        Thing::Resource(_) => Columns {
            heading: &["name", "labels"],
            narrow: 1,
            row: |item| {
                vec![
                    text(item, "/metadata/name"),
                    labels(item, "/metadata/labels"),
                ]
            },
            name: resource_name,
        },
        Thing::Agent => Columns {
            heading: &[
                "hostname",
                "connected",
                "in sync",
                "desired",
                "applied",
                "nginx",
                "seen",
                "id",
                "sent",
                "staged",
                "running",
                "conditions",
                "labels",
            ],
            narrow: 8,
            row: |item| {
                vec![
                    text(item, "/hostname"),
                    state(item),
                    text(item, "/in_sync"),
                    version(item, "/desired"),
                    version(item, "/applied"),
                    text(item, "/nginx_version"),
                    output::age(
                        item.pointer("/last_seen_at")
                            .and_then(Value::as_u64)
                            .unwrap_or_default(),
                    ),
                    text(item, "/id"),
                    version(item, "/sent"),
                    version(item, "/staged"),
                    text(item, "/running").chars().take(12).collect(),
                    conditions(item),
                    labels(item, "/labels"),
                ]
            },
            name: |item| format!("agent/{}", text(item, "/id")),
        },
        Thing::Revision => Columns {
            heading: &["revision", "author", "age", "changes", "message"],
            narrow: 5,
            row: |item| {
                vec![
                    text(item, "/version/revision"),
                    text(item, "/author"),
                    output::age(
                        item.pointer("/at")
                            .and_then(Value::as_u64)
                            .unwrap_or_default(),
                    ),
                    joined(item, "/changes", "/resource"),
                    text(item, "/message"),
                ]
            },
            name: |item| format!("revision/{}", text(item, "/version/revision")),
        },
        Thing::Audit => audit::COLUMNS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_is_named() {
        assert_eq!(conditions(&serde_json::json!({})), "");
        assert_eq!(
            conditions(&serde_json::json!({ "health": { "running": true, "restarts": 3 } })),
            ""
        );
        assert_eq!(
            conditions(&serde_json::json!({
                "health": { "running": false, "problem": "bind() failed" },
                "drift": { "since": 7 },
                "failure": null,
                "drained": true,
            })),
            "nginx-down,drift,drained"
        );
    }

    #[test]
    fn a_name_never_leaves_its_segment() {
        assert_eq!(segment("shop-1.example"), "shop-1.example");
        assert_eq!(segment("../agents?x#y"), "..%2Fagents%3Fx%23y");
        assert_eq!(segment(".."), "%2E%2E");
    }

    #[test]
    fn selectors_look_at_agents_and_at_resources() {
        let selector: Selector = "env=prod".parse().unwrap();
        assert!(matches(
            &selector,
            &serde_json::json!({ "labels": { "env": "prod" } })
        ));
        assert!(matches(
            &selector,
            &serde_json::json!({ "metadata": { "labels": { "env": "prod" } } })
        ));
        assert!(!matches(&selector, &serde_json::json!({ "metadata": {} })));
    }
}

//! What stands outside of all blocks, and in `events`.

use nxmesh_core::{
    model::{Resource, ResourceKind},
    snippet::SnippetContext,
};
use serde_json::json;

use super::{
    draft::{Draft, Fields, Leftover},
    node::Node,
    report::Report,
    types,
    value::Form,
};

/// Directives that are a field each, outside of blocks and in `events`.
const FIELDS: [(&str, Form, &str); 5] = [
    ("worker_rlimit_nofile", Form::Number, "worker_open_files"),
    (
        "worker_shutdown_timeout",
        Form::Time,
        "worker_shutdown_timeout",
    ),
    ("worker_connections", Form::Number, "worker_connections"),
    ("multi_accept", Form::Switch, "multi_accept"),
    ("accept_mutex", Form::Switch, "accept_mutex"),
];

/// Settings of the process, for agents that own the whole of `nginx.conf`.
pub(super) fn import(nodes: &[Node], report: &mut Report) -> Vec<Resource> {
    let spec = json!({});
    let mut draft = Draft::new(ResourceKind::NginxSettings, "imported".to_owned(), spec);
    let mut main = Leftover::new("imported-main".to_owned(), SnippetContext::Main);
    let mut events = Leftover::new("imported-events".to_owned(), SnippetContext::Events);
    let mut fields = Fields::of(&mut draft, "");
    let mut said = false;
    for node in nodes {
        match node.name.as_str() {
            "http" | "stream" => {}
            "events" => {
                for inner in node.children() {
                    if set(inner, &mut fields) {
                        said = true;
                    } else {
                        events.take(inner, report);
                    }
                }
            }
            name if is_the_agents(name) => report.replaced(node, "the agent's settings say this"),
            _ if set(node, &mut fields) => said = true,
            _ => {
                main.take(node, report);
            }
        }
    }
    if let Some(http) = nodes.iter().find(|node| node.name == "http")
        && let Some(types) = types::field(http.children())
    {
        if Fields::of(&mut draft, "").set("media_types", types) {
            said = true;
        } else {
            report.lost(http, "its list of media types has one that cannot be said");
        }
    }
    let settings = said.then_some(draft);
    let drafts = settings
        .into_iter()
        .chain(main.draft())
        .chain(events.draft());
    drafts.filter_map(|draft| draft.resource()).collect()
}

/// Tells what is not imported for agents that include into an `nginx.conf`.
pub(super) fn leave_out(nodes: &[Node], report: &mut Report) {
    for node in nodes {
        match node.name.as_str() {
            "http" => {}
            "stream" => report.lost(
                node,
                "only agents with mode full serve it: import for the whole of nginx.conf",
            ),
            _ => report.replaced(node, "nginx.conf stays, and keeps saying this"),
        }
    }
}

fn is_the_agents(name: &str) -> bool {
    matches!(
        name,
        "user"
            | "pid"
            | "error_log"
            | "daemon"
            | "load_module"
            | "pcre_jit"
            | "env"
            | "master_process"
    )
}

fn set(node: &Node, fields: &mut Fields<'_>) -> bool {
    let found = FIELDS.iter().find(|(name, ..)| *name == node.name);
    if let Some((_, form, field)) = found {
        return form
            .read(node)
            .is_some_and(|value| fields.set(field, value));
    }
    match (node.name.as_str(), &node.arguments[..]) {
        ("worker_processes", [word]) if word == "auto" => {
            fields.set("worker_processes", json!("auto"))
        }
        ("worker_processes", [word]) => word.parse::<u64>().is_ok_and(|count| {
            let count = json!({ "count": count });
            fields.set("worker_processes", count)
        }),
        ("worker_cpu_affinity", [word]) if word == "auto" => {
            fields.set("worker_cpu_affinity", json!(true))
        }
        ("worker_priority", [word]) => word
            .parse::<i64>()
            .is_ok_and(|priority| fields.set("worker_priority", json!(priority))),
        _ => false,
    }
}

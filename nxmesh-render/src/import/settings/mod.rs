//! What virtual hosts and locations can say alike.
//!
//! Directives that say one thing together become one field together, or none of
//! them does: nginx inherits each for itself, a field counts as a whole.

mod cache;
mod clients;
mod limits;
mod logs;
mod pages;

pub(super) use cache::path as cache_path;
pub(super) use clients::report_people;
pub(super) use limits::zone as limit_zone;
pub(super) use logs::{access as access_log, format as log_format};

use serde_json::{Value, json};

use super::{draft::Fields, files::Machine, node::Node, scope::Scope, zones::Zones};

/// What is needed beside the block to read its settings.
pub(super) struct Around<'p> {
    /// Zones, caches and log formats of the `http` block.
    pub(super) zones: &'p Zones,
    pub(super) machine: &'p Machine<'p>,
    /// Whether the block is a location.
    pub(super) in_location: bool,
    /// Whether what it does is said by a Snippet: how requests are passed on is not known.
    pub(super) in_snippet: bool,
}

/// Directives that become a field together.
struct Group {
    field: &'static str,
    /// The directives, all of them.
    names: &'static [&'static str],
    read: fn(&Scope<'_>, &Around<'_>) -> Option<Value>,
}

const GROUPS: [Group; 14] = [
    Group {
        field: "max_body_size",
        names: &["client_max_body_size"],
        read: |scope, _| Some(json!(scope.word("client_max_body_size")?)),
    },
    Group {
        field: "access",
        names: &["allow", "deny"],
        read: clients::access,
    },
    Group {
        field: "satisfy",
        names: &["satisfy"],
        read: |scope, _| Some(json!(scope.word("satisfy")?)),
    },
    Group {
        field: "basic_auth",
        names: &["auth_basic", "auth_basic_user_file"],
        read: clients::basic_auth,
    },
    Group {
        field: "rate_limit",
        names: &[
            "limit_req",
            "limit_req_status",
            "limit_req_dry_run",
            "limit_req_log_level",
        ],
        read: limits::requests,
    },
    Group {
        field: "connection_limit",
        names: &[
            "limit_conn",
            "limit_conn_status",
            "limit_conn_dry_run",
            "limit_conn_log_level",
        ],
        read: limits::connections,
    },
    Group {
        field: "bandwidth",
        names: &["limit_rate", "limit_rate_after"],
        read: limits::bandwidth,
    },
    Group {
        field: "gzip",
        names: &limits::GZIP,
        read: limits::gzip,
    },
    Group {
        field: "cache",
        names: &cache::PROXY,
        read: |scope, around| cache::read("proxy", scope, around),
    },
    Group {
        field: "cache",
        names: &cache::FASTCGI,
        read: |scope, around| cache::read("fastcgi", scope, around),
    },
    Group {
        field: "access_log",
        names: &["access_log"],
        read: logs::access,
    },
    Group {
        field: "error_log",
        names: &["error_log", "rewrite_log"],
        read: logs::error,
    },
    Group {
        field: "error_pages",
        names: &["error_page"],
        read: pages::read,
    },
    Group {
        field: "intercept_errors",
        names: &pages::INTERCEPT,
        read: |scope, _| pages::intercept(scope),
    },
];

/// Sets the fields for the directives of a block; which of these are said by
/// them now.
pub(super) fn read(
    scope: &Scope<'_>,
    around: &Around<'_>,
    fields: &mut Fields<'_>,
) -> Vec<&'static str> {
    set(GROUPS.iter(), scope, around, fields)
}

/// The same for a server of streams.
pub(super) fn of_stream(
    scope: &Scope<'_>,
    around: &Around<'_>,
    fields: &mut Fields<'_>,
) -> Vec<&'static str> {
    let known = |group: &&Group| matches!(group.field, "access" | "error_log");
    set(GROUPS.iter().filter(known), scope, around, fields)
}

fn set<'g>(
    groups: impl Iterator<Item = &'g Group>,
    scope: &Scope<'_>,
    around: &Around<'_>,
    fields: &mut Fields<'_>,
) -> Vec<&'static str> {
    let mut said = Vec::new();
    for group in groups {
        if !group.names.iter().any(|name| scope.has(name)) {
            continue;
        }
        if around.in_snippet && matches!(group.field, "cache" | "intercept_errors") {
            continue;
        }
        if let Some(value) = (group.read)(scope, around)
            && fields.set(group.field, value)
        {
            // What is left is a Snippet beside the field.
            let left = |name: &&&str| cache::is_left(name, scope);
            said.extend(group.names.iter().filter(|name| !left(name)));
        }
    }
    said
}

/// Sets the virtual host's log to the one that its server inherits: nothing else
/// would write it.
pub(super) fn inherited_log(scope: &Scope<'_>, around: &Around<'_>, fields: &mut Fields<'_>) {
    if !scope.has("access_log")
        && let Some(log) = logs::access(scope, around)
    {
        fields.set("access_log", log);
    }
}

/// Sets the virtual host's people to those that its server inherits: no Snippet can name
/// them.
pub(super) fn inherited_people(
    scope: &Scope<'_>,
    around: &Around<'_>,
    fields: &mut Fields<'_>,
) -> bool {
    let people = clients::basic_auth(scope, around);
    people.is_none_or(|people| fields.set("basic_auth", people))
}

/// The response headers of a block; `None` if one of them has variables.
pub(super) fn response_headers(nodes: &[Node]) -> Option<Value> {
    let headers = nodes.iter().filter(|node| node.name == "add_header");
    let headers: Option<Vec<Value>> = headers.map(response_header).collect();
    headers.map(Value::Array)
}

/// A header that is always the same; `None` if it has variables.
fn response_header(node: &Node) -> Option<Value> {
    let (name, value, always) = match &node.arguments[..] {
        [name, value] => (name, value, false),
        [name, value, always] if always == "always" => (name, value, true),
        _ => return None,
    };
    if value.contains('$') || value.is_empty() {
        return None;
    }
    let mut header = json!({ "name": name, "value": value });
    if always {
        header["always"] = json!(true);
    }
    Some(header)
}

//! How much a client may ask for, and in how few bytes it is sent.

use serde_json::{Value, json};

use super::Around;
use crate::import::{
    node::Node,
    scope::Scope,
    value::{numbers, only, parameter, switch},
};

pub(super) fn requests(scope: &Scope<'_>, around: &Around<'_>) -> Option<Value> {
    let limits: Option<Vec<Value>> = scope
        .all("limit_req")
        .into_iter()
        .map(|node| request_limit(node, around))
        .collect();
    let limits = limits.filter(|limits| !limits.is_empty())?;
    let mut field = json!({ "limits": limits, "status": status(scope, "limit_req_status")? });
    said(scope, "limit_req", &mut field);
    Some(field)
}

fn request_limit(node: &Node, around: &Around<'_>) -> Option<Value> {
    let argument = |name: &str| {
        let mut all = node.arguments.iter();
        all.find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
    };
    let zone = around.zones.requests.get(argument("zone")?)?;
    let mut limit = zone.clone();
    let mut burst = None;
    for argument in &node.arguments {
        match argument.split_once('=').unwrap_or((argument, "")) {
            ("zone", _) => {}
            ("burst", number) => {
                burst = Some(number.parse::<u64>().ok()?);
                limit["burst"] = json!(burst);
            }
            ("delay", number) => limit["without_delay"] = json!(number.parse::<u64>().ok()?),
            // Without a burst it says nothing.
            ("nodelay", "") => {}
            _ => return None,
        }
    }
    if node.arguments.iter().any(|it| it == "nodelay")
        && let Some(burst) = burst
    {
        limit["without_delay"] = json!(burst);
    }
    Some(limit)
}

pub(super) fn connections(scope: &Scope<'_>, around: &Around<'_>) -> Option<Value> {
    let limits: Option<Vec<Value>> = scope
        .all("limit_conn")
        .into_iter()
        .map(|node| {
            let [zone, number] = &node.arguments[..] else {
                return None;
            };
            let mut limit = around.zones.connections.get(zone.as_str())?.clone();
            limit["connections"] = json!(number.parse::<u64>().ok()?);
            Some(limit)
        })
        .collect();
    let limits = limits.filter(|limits| !limits.is_empty())?;
    let mut field = json!({ "limits": limits, "status": status(scope, "limit_conn_status")? });
    said(scope, "limit_conn", &mut field);
    Some(field)
}

/// What limits of requests and connections say alike.
fn said(scope: &Scope<'_>, directive: &str, field: &mut Value) {
    if scope.on(&format!("{directive}_dry_run")) {
        field["dry_run"] = json!(true);
    }
    if let Some(level) = scope.word(&format!("{directive}_log_level")) {
        field["log_level"] = json!(level);
    }
}

/// nginx's default is 503.
fn status(scope: &Scope<'_>, name: &str) -> Option<u64> {
    scope.word(name).unwrap_or("503").parse().ok()
}

pub(super) fn bandwidth(scope: &Scope<'_>, _: &Around<'_>) -> Option<Value> {
    let mut field = json!({ "rate": scope.word("limit_rate")? });
    if let Some(after) = scope.word("limit_rate_after") {
        field["after"] = json!(after);
    }
    Some(field)
}

pub(super) const GZIP: [&str; 9] = [
    "gzip",
    "gzip_comp_level",
    "gzip_min_length",
    "gzip_types",
    "gzip_proxied",
    "gzip_vary",
    "gzip_disable",
    "gzip_buffers",
    "gunzip",
];

pub(super) fn gzip(scope: &Scope<'_>, _: &Around<'_>) -> Option<Value> {
    let enabled = scope.word("gzip").map_or(Some(false), switch)?;
    let mut field = json!({ "enabled": enabled, "vary": scope.on("gzip_vary") });
    if let Some(level) = scope.word("gzip_comp_level") {
        field["level"] = json!(level.parse::<u64>().ok()?);
    }
    if let Some(length) = scope.word("gzip_min_length") {
        field["min_length"] = json!(length);
    }
    if let Some(types) = scope.find("gzip_types") {
        let types = types.arguments.iter().filter(|it| *it != "text/html");
        field["types"] = types.map(|it| json!(it)).collect();
    }
    match scope.find("gzip_proxied").map(|node| &node.arguments[..]) {
        None => {}
        Some([word]) if word == "off" => {}
        Some([word]) if word == "any" => field["proxied"] = json!(true),
        Some(_) => return None,
    }
    if let Some(disabled) = scope.find("gzip_disable") {
        field["disable"] = json!(disabled.arguments);
    }
    if let Some(buffers) = scope.find("gzip_buffers") {
        let [count, size] = &buffers.arguments[..] else {
            return None;
        };
        field["buffers"] = json!({ "count": count.parse::<u64>().ok()?, "size": size });
    }
    if scope.on("gunzip") {
        field["unpack"] = json!(true);
    }
    Some(field)
}

/// What a `limit_req_zone` or `limit_conn_zone` counts by, its name, and how
/// large it is.
pub(in crate::import) fn zone(node: &Node) -> Option<(&str, Value)> {
    if !only(node, &["zone", "rate"]) {
        return None;
    }
    let (name, size) = parameter(node, "zone")?.split_once(':')?;
    let key = match node.first() {
        "$binary_remote_addr" | "$remote_addr" => json!("remote_addr"),
        "$host" | "$server_name" => json!("host"),
        "$request_uri" => json!("request_uri"),
        other => {
            let header = other.strip_prefix("$http_")?.replace('_', "-");
            json!({ "header": header })
        }
    };
    let mut limit = json!({ "key": key, "zone_size": size });
    if let Some(rate) = parameter(node, "rate") {
        limit["rate"] = json!(rate);
    }
    Some((name, limit))
}

/// The statuses of a `proxy_cache_valid`, and how long.
pub(super) fn validity(node: &Node) -> Option<Value> {
    let (time, statuses) = node.arguments.split_last()?;
    let time = crate::import::value::time(time);
    Some(match statuses {
        // nginx: 200, 301 and 302.
        [] => json!({ "statuses": [200, 301, 302], "time": time }),
        [any] if any == "any" => json!({ "time": time }),
        statuses => json!({ "statuses": numbers(statuses)?, "time": time }),
    })
}

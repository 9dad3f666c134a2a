//! What is sent instead of errors.

use serde_json::{Value, json};

use super::Around;
use crate::import::{node::Node, scope::Scope, value::numbers};

/// All pages of a block; `None` if one of them cannot be said.
pub(super) fn read(scope: &Scope<'_>, _: &Around<'_>) -> Option<Value> {
    let pages: Option<Vec<Value>> = scope
        .all("error_page")
        .into_iter()
        .map(|node| page(scope, node))
        .collect();
    pages.map(Value::Array)
}

pub(super) const INTERCEPT: [&str; 3] = [
    "proxy_intercept_errors",
    "fastcgi_intercept_errors",
    "grpc_intercept_errors",
];

/// Whether pages count for errors of upstreams; `None` where that depends on how these
/// are spoken to.
pub(super) fn intercept(scope: &Scope<'_>) -> Option<Value> {
    let mut said = INTERCEPT.iter().filter(|name| scope.find(name).is_some());
    let first = scope.on(said.next()?);
    said.all(|name| scope.on(name) == first)
        .then(|| json!(first))
}

fn page(scope: &Scope<'_>, node: &Node) -> Option<Value> {
    let (target, codes) = node.arguments.split_last()?;
    let (status, codes) = match codes.split_last() {
        Some((status, codes)) if status.starts_with('=') => (Some(status.as_str()), codes),
        _ => (None, codes),
    };
    let codes = numbers(codes)?;
    let send = if target.starts_with("http://") || target.starts_with("https://") {
        let moved = matches!(status, None | Some("=302"));
        (moved && !target.contains('$')).then(|| json!({ "redirect": target }))?
    } else if status.is_none() {
        json!({ "file": file(scope, target)? })
    } else {
        return None;
    };
    Some(json!({ "codes": codes, "send": send }))
}

/// The file that an exact location serves for a path.
fn file(scope: &Scope<'_>, path: &str) -> Option<String> {
    if !path.starts_with('/') || path.contains(['$', '?']) {
        return None;
    }
    let location = scope.exact_location(path)?;
    let known = |node: &Node| matches!(node.name.as_str(), "root" | "alias" | "internal");
    if !location.children().iter().all(known) {
        return None;
    }
    let inside = scope.below(location.children());
    if let Some(alias) = inside.own().iter().find(|node| node.name == "alias") {
        return Some(alias.first().to_owned());
    }
    let root = inside.word("root")?.trim_end_matches('/');
    Some(format!("{root}{path}"))
}

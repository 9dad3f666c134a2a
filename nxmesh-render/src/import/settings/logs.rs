//! What is written down.

use serde_json::{Value, json};

use super::Around;
use crate::import::{node::Node, scope::Scope, value::variable};

pub(in crate::import) fn access(scope: &Scope<'_>, around: &Around<'_>) -> Option<Value> {
    let [node] = scope.all("access_log")[..] else {
        return None;
    };
    if node.first() == "off" {
        return Some(json!("none"));
    }
    let mut target = target(node.first())?;
    match node.arguments.get(1).map(String::as_str) {
        None | Some("combined") => {}
        Some(name) => {
            let (format, escape) = around.zones.formats.get(name)?;
            target["format"] = json!({ "custom": format });
            target["escape"] = json!(escape);
        }
    }
    // How much is written at a time changes no line.
    let named = node.arguments.iter().skip(2);
    let mut names = named.map(|it| it.split_once('=').map_or(it.as_str(), |(name, _)| name));
    names
        .all(|name| matches!(name, "buffer" | "flush"))
        .then(|| json!({ "to": target }))
}

pub(super) fn error(scope: &Scope<'_>, around: &Around<'_>) -> Option<Value> {
    let [node] = scope.all("error_log")[..] else {
        return None;
    };
    if !around.in_location && !scope.has("error_log") {
        return None;
    }
    let mut field = target(node.first())?;
    if let Some(level) = node.arguments.get(1) {
        field["level"] = json!(level);
    }
    if scope.on("rewrite_log") {
        field["rewrites"] = json!(true);
    }
    Some(field)
}

/// A file or a syslog server.
fn target(word: &str) -> Option<Value> {
    if word.contains('$') {
        return None;
    }
    let Some(syslog) = word.strip_prefix("syslog:") else {
        return word.starts_with('/').then(|| json!({ "file": word }));
    };
    // Other parameters, such as a facility, cannot be said.
    let server = syslog.strip_prefix("server=")?;
    (!server.contains(',')).then(|| json!({ "syslog": server }))
}

/// The name of a `log_format`, its text as documents have it, and how values are
/// written.
pub(in crate::import) fn format(node: &Node) -> Option<(&str, (String, String))> {
    let (name, parts) = node.arguments.split_first()?;
    let escape = parts.first().and_then(|part| part.strip_prefix("escape="));
    let text = parts[usize::from(escape.is_some())..].concat();
    let escape = escape.unwrap_or("default").to_owned();
    let mut format = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['$', '{', '}']) {
        let (before, from) = rest.split_at(at);
        format.push_str(before);
        let Some(behind) = from.strip_prefix('$') else {
            // A brace stands for itself where it is doubled.
            let brace = &from[..1];
            format.push_str(brace);
            format.push_str(brace);
            rest = &from[1..];
            continue;
        };
        let end = if behind.starts_with('{') {
            behind.find('}')? + 1
        } else {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            behind.find(|c| !plain(c)).unwrap_or(behind.len())
        };
        let name = variable(&from[..=end])?;
        format.push_str(&format!("{{{name}}}"));
        rest = &behind[end..];
    }
    format.push_str(rest);
    Some((name, (format, escape)))
}

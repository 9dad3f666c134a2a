//! Answers that nginx gives itself.

use serde_json::{Value, json};

use crate::import::{node::Node, scope::Scope, types};

/// What a server answers to every request, whatever its locations say.
pub(in crate::import) fn everything(scope: &Scope<'_>) -> Option<(&'static str, Value)> {
    let of_rewrite =
        |node: &&Node| matches!(node.name.as_str(), "if" | "rewrite" | "set" | "return");
    let mut steps = scope.own().iter().filter(of_rewrite);
    let node = steps.next().filter(|node| node.name == "return")?;
    returned(node, scope, None)
}

/// `return` as a redirect or a fixed response, for `path` or, if there is none, for
/// several.
pub(super) fn returned(
    node: &Node,
    scope: &Scope<'_>,
    path: Option<&str>,
) -> Option<(&'static str, Value)> {
    let (code, text) = match &node.arguments[..] {
        [url] if url.starts_with("http") => ("302", url.as_str()),
        [code] => (code.as_str(), ""),
        [code, text] => (code.as_str(), text.as_str()),
        _ => return None,
    };
    let number: u16 = code.parse().ok()?;
    if matches!(number, 301 | 302 | 303 | 307 | 308) {
        let mut redirect = target(text)?;
        redirect["code"] = json!(number);
        if text.starts_with('/') && scope.word("absolute_redirect") != Some("off") {
            redirect["absolute"] = json!(true);
        }
        return Some(("redirect", redirect));
    }
    // Without a text nginx shows a page of its own, which may be another one.
    if text.contains('$') || (number >= 400 && text.is_empty()) {
        return None;
    }
    let mut respond = json!({ "status": number, "body": text });
    let known = path.and_then(|path| types::of_path(scope, path));
    if let Some(kind) = known.as_deref().or(scope.word("default_type")) {
        respond["content_type"] = json!(kind);
    }
    if path.is_none() && !types::of(scope).is_empty() {
        respond["type_by_extension"] = json!(true);
    }
    Some(("respond", respond))
}

/// Where a redirect leads.
fn target(text: &str) -> Option<Value> {
    if !text.contains('$') {
        return Some(json!({ "to": text }));
    }
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find('/').or_else(|| rest.find("$request_uri"));
    let (host, path) = rest.split_at(end.unwrap_or(rest.len()));
    let mut redirect = json!({});
    match scheme {
        "$scheme" => {}
        "http" | "https" => redirect["scheme"] = json!(scheme),
        _ => return None,
    }
    match host {
        "$host" | "$http_host" => {}
        _ if host.contains('$') => return None,
        _ => match host.split_once(':') {
            None => redirect["host"] = json!(host),
            Some((host, port)) => {
                redirect["host"] = json!(host);
                redirect["port"] = json!(port.parse::<u16>().ok()?);
            }
        },
    }
    match path {
        "$request_uri" => Some(redirect),
        // A path without the query of the request.
        _ if path.starts_with('/') && !path.contains(['$', '?']) => {
            redirect["path"] = json!(path);
            redirect["drop_query"] = json!(true);
            Some(redirect)
        }
        _ => None,
    }
}

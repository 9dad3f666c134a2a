//! Serving files.

use serde_json::{Value, json};

use super::{Around, proxy};
use crate::import::{
    node::Node,
    scope::Scope,
    value::{switch, time},
};

/// The `static` action, and the directives that it says.
pub(super) fn read<'n>(
    scope: &Scope<'n>,
    around: &mut Around<'_, '_>,
    beside: &mut Vec<&'n Node>,
) -> Option<(Value, Vec<&'static str>)> {
    let mut said = vec!["root", "index", "alias", "try_files"];
    let mut files = match own(scope, "alias") {
        Some(alias) => json!({ "alias": alias.first() }),
        None => json!({ "root": scope.word("root")? }),
    };
    if let Some(index) = scope.find("index") {
        files["index"] = json!(index.arguments);
    }
    if let Some(autoindex) = own(scope, "autoindex") {
        files["autoindex"] = json!(switch(autoindex.first())?);
        said.push("autoindex");
    }
    if let Some(expires) = own(scope, "expires").and_then(expires) {
        files["expires"] = expires;
        said.push("expires");
    }
    fallback(scope, &mut files, around, beside)?;
    Some((files, said))
}

/// How long clients may keep files, if a field can say it.
fn expires(node: &Node) -> Option<Value> {
    let [word] = &node.arguments[..] else {
        return None;
    };
    match word.as_str() {
        "max" | "epoch" => Some(json!(word)),
        text if text.starts_with(|c: char| c.is_ascii_digit()) => {
            Some(json!({ "after": time(text) }))
        }
        _ => None,
    }
}

/// What is tried, and what happens if none of it is there.
fn fallback<'n>(
    scope: &Scope<'n>,
    files: &mut Value,
    around: &mut Around<'_, '_>,
    beside: &mut Vec<&'n Node>,
) -> Option<()> {
    // nginx does not inherit it.
    let Some(node) = own(scope, "try_files") else {
        return Some(());
    };
    let (last, tried) = node.arguments.split_last()?;
    let parts: Option<Vec<Value>> = tried.iter().map(|word| part(word)).collect();
    files["try"] = json!(parts?);
    files["otherwise"] = if let Some(status) = last.strip_prefix('=') {
        json!({ "status": status.parse::<u16>().ok()? })
    } else if last.starts_with('@') {
        let named = scope.named_location(last)?;
        let inside = scope.below(named.children());
        let pass = own(&inside, "proxy_pass")?;
        let said = proxy::said();
        if !inside
            .own()
            .iter()
            .all(|node| said.contains(&node.name.as_str()))
        {
            return None;
        }
        json!({ "proxy": proxy::read(&inside, pass, around, beside)? })
    } else {
        let queries = [
            "?$args",
            "?$query_string",
            "$is_args$args",
            "$is_args$query_string",
        ];
        let path = queries.iter().find_map(|query| last.strip_suffix(query));
        let path = path.unwrap_or(last);
        if !path.starts_with('/') || path.contains(['$', '?']) {
            return None;
        }
        json!({ "path": path })
    };
    Some(())
}

fn part(word: &str) -> Option<Value> {
    if word.starts_with('/') && !word.contains('$') {
        return Some(json!({ "path": word }));
    }
    match word.strip_prefix("$uri").or(word.strip_prefix("${uri}"))? {
        "" => Some(json!("uri")),
        "/" => Some(json!("folder")),
        suffix if suffix.starts_with('.') => Some(json!({ "suffix": suffix })),
        _ => None,
    }
}

fn own<'n>(scope: &Scope<'n>, name: &str) -> Option<&'n Node> {
    scope.own().iter().rfind(|node| node.name == name)
}

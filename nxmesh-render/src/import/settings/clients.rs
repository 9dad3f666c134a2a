//! Which clients are let in.

use serde_json::{Value, json};

use super::Around;
use crate::import::scope::Scope;

/// `allow` and `deny`, in their order.
pub(super) fn access(scope: &Scope<'_>, _: &Around<'_>) -> Option<Value> {
    let rules = scope.own().iter().filter_map(|node| {
        let rule = match node.name.as_str() {
            "allow" | "deny" => node.name.as_str(),
            _ => return None,
        };
        let [source] = &node.arguments[..] else {
            return Some(None);
        };
        Some(Some(json!({ rule: source })))
    });
    let rules: Option<Vec<Value>> = rules.collect();
    Some(json!({ "rules": rules? }))
}

/// `auth_basic` with the names and hashes of its file.
pub(super) fn basic_auth(scope: &Scope<'_>, around: &Around<'_>) -> Option<Value> {
    let realm = scope.word("auth_basic")?;
    if realm == "off" {
        return Some(json!("none"));
    }
    let text = around.machine.read(scope.word("auth_basic_user_file")?)?;
    let people = text.lines().map(str::trim);
    let people = people.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let list: Option<Vec<Value>> = people
        .map(|line| {
            let (name, rest) = line.split_once(':')?;
            // What follows is a comment (nginx manual, `auth_basic_user_file`).
            let hash = rest.split(':').next()?;
            Some(json!({ "name": name, "password_hash": hash }))
        })
        .collect();
    Some(json!({ "users": { "realm": realm, "list": list? } }))
}

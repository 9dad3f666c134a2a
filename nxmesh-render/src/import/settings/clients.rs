//! Which clients are let in.

use serde_json::{Value, json};

use super::Around;
use crate::import::{report::Report, scope::Scope};

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

/// `auth_basic` with the names and hashes of its file. Who cannot be read is not let in;
/// if that is everybody, nobody is.
pub(super) fn basic_auth(scope: &Scope<'_>, around: &Around<'_>) -> Option<Value> {
    let word = scope.word("auth_basic")?;
    if word == "off" {
        return Some(json!("none"));
    }
    let mut list = people(scope, around).unwrap_or_default();
    list.retain(is_known);
    if list.is_empty() {
        // Those that nginx makes of passwords are shorter, so nobody has the one for this.
        let hash = "$apr1$nobody$000000000000000000000000";
        list.push(json!({ "name": "nobody", "password_hash": hash }));
    }
    Some(json!({ "users": { "realm": realm(word), "list": list } }))
}

/// Tells who is not let in any more, and what they are told otherwise.
pub(in crate::import) fn report_people(
    scope: &Scope<'_>,
    around: &Around<'_>,
    report: &mut Report,
) {
    let Some(node) = scope.find("auth_basic").filter(|it| it.first() != "off") else {
        return;
    };
    if realm(node.first()) != node.first() {
        report.replaced(node, &format!("the realm is {:?}", realm(node.first())));
    }
    match (scope.find("auth_basic_user_file"), people(scope, around)) {
        (Some(file), None) => report.lost(
            file,
            "it cannot be read, so nobody is let in: basic_auth says who is",
        ),
        (Some(file), Some(people)) => {
            let unknown = people.iter().filter(|person| !is_known(person)).count();
            if unknown > 0 {
                report.lost(
                    file,
                    format_args!("the passwords of {unknown} people are hashed as no field can say, so they are not let in"),
                );
            }
        }
        // nginx lets everybody in.
        (None, _) => report.lost(
            node,
            "there is no auth_basic_user_file, so nobody is let in",
        ),
    }
}

/// The people of the file that counts; `None` if it cannot be read.
fn people(scope: &Scope<'_>, around: &Around<'_>) -> Option<Vec<Value>> {
    let text = around.machine.read(scope.word("auth_basic_user_file")?)?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let people = lines.map(|line| {
        let (name, rest) = line.split_once(':').unwrap_or((line, ""));
        // What follows is a comment (nginx manual, `auth_basic_user_file`).
        let hash = rest.split(':').next().unwrap_or_default();
        json!({ "name": name, "password_hash": hash })
    });
    Some(people.collect())
}

fn is_known(person: &Value) -> bool {
    serde_json::from_value::<nxmesh_core::model::traffic::BasicUser>(person.clone()).is_ok()
}

/// A realm as documents have it.
fn realm(word: &str) -> String {
    let plain = |c: &char| (' '..='~').contains(c) && !matches!(c, '"' | '\\');
    let plain: String = word.chars().filter(plain).take(100).collect();
    if plain.is_empty() || plain == "off" || plain.contains('$') {
        "Restricted".to_owned()
    } else {
        plain
    }
}

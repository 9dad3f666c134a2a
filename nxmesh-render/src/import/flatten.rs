//! Locations in locations, as locations beside each other: a virtual host has no others.
//!
//! nginx takes the location with the longest prefix, then looks at what lies in it, then at
//! the patterns of the server, and the first pattern that matches counts
//! (`src/http/ngx_http_core_module.c`, `ngx_http_core_find_location`). So a pattern that lies
//! in a location goes before those of the server, and says whose requests it is for.

use super::{node::Node, protect::path};

/// What a block does itself: what lies in it does not inherit it.
const OWN: [&str; 12] = [
    "break",
    "content_by_lua_block",
    "empty_gif",
    "if",
    "js_content",
    "limit_except",
    "perl",
    "return",
    "rewrite",
    "set",
    "stub_status",
    "try_files",
];

/// The configuration without locations in locations, where that says the same.
pub(super) fn flat(nodes: Vec<Node>) -> Vec<Node> {
    within(nodes, "http", |nodes| within(nodes, "server", server))
}

/// The directives with others in the blocks of this name.
fn within(nodes: Vec<Node>, name: &str, change: fn(Vec<Node>) -> Vec<Node>) -> Vec<Node> {
    let nodes = nodes.into_iter().map(|node| match node.name == name {
        true => node.with_children(change(node.children().to_vec())),
        false => node,
    });
    nodes.collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    PrefixPriority,
    Pattern { ignore_case: bool },
}

/// How a location is compared, and with what; `None` for one with a name.
fn compared(node: &Node) -> Option<(Kind, String)> {
    if node.name != "location" {
        return None;
    }
    let location = path(node)?;
    let kind = match location["match"].as_str() {
        None => Kind::Prefix,
        Some("exact") => Kind::Exact,
        Some("prefix_priority") => Kind::PrefixPriority,
        Some("regex") => Kind::Pattern { ignore_case: false },
        Some("regex_ignore_case") => Kind::Pattern { ignore_case: true },
        Some(_) => return None,
    };
    let path = location["path"].as_str()?;
    (!path.starts_with('@')).then(|| (kind, path.to_owned()))
}

fn holds_others(node: &Node) -> bool {
    node.children().iter().any(|inner| inner.name == "location")
}

fn server(nodes: Vec<Node>) -> Vec<Node> {
    let (mut patterns, mut others) = (Vec::new(), Vec::new());
    for node in &nodes {
        match flattened(node, &nodes) {
            Some((first, rest)) => {
                patterns.extend(first);
                others.extend(rest);
            }
            None => others.push(node.clone()),
        }
    }
    [patterns, others].concat()
}

/// The patterns in a location, and the location with the others that lie in it. `None` if
/// nothing does, or if it would not be the same.
fn flattened(outer: &Node, server: &[Node]) -> Option<(Vec<Node>, Vec<Node>)> {
    if !holds_others(outer) || outer.children().iter().any(|it| it.name == "alias") {
        return None;
    }
    let (kind, prefix) = compared(outer)?;
    let around: Vec<(Kind, String)> = server.iter().filter_map(compared).collect();
    let is_pattern = |(kind, _): &(Kind, String)| matches!(kind, Kind::Pattern { .. });
    match kind {
        Kind::Prefix => {}
        // What lies in it is not for the patterns of the server either.
        Kind::PrefixPriority if !around.iter().any(is_pattern) => {}
        _ => return None,
    }
    // Longer prefixes take requests away.
    let takes = |path: &str| path.len() > prefix.len() && path.starts_with(&prefix);
    let longer = around
        .iter()
        .filter(|it| !is_pattern(it) && it.0 != Kind::Exact);
    let longer = longer.map(|(_, path)| path.as_str());
    let mut longer: Vec<&str> = longer.filter(|path| takes(path)).collect();
    let (inner, own): (Vec<&Node>, Vec<&Node>) = outer
        .children()
        .iter()
        .partition(|node| node.name == "location");
    let inner: Vec<(&Node, Kind, String)> = inner
        .into_iter()
        .map(|node| {
            let (kind, path) = compared(node).filter(|_| !holds_others(node))?;
            let taken = path == prefix || longer.iter().any(|longer| path.starts_with(longer));
            let is_reached = matches!(kind, Kind::Pattern { .. }) || !taken;
            is_reached.then_some((node, kind, path))
        })
        .collect::<Option<_>>()?;
    let priority = inner.iter().filter(|it| it.1 == Kind::PrefixPriority);
    longer.extend(priority.map(|it| it.2.as_str()));
    let stays: Vec<Node> = own.iter().copied().cloned().collect();
    let (mut patterns, mut others) = (
        Vec::new(),
        vec![outer.located("", &prefix).with_children(stays)],
    );
    for (node, kind, path) in &inner {
        let node = node.with_children(inherited(node, &own));
        match kind {
            Kind::Exact => others.push(node),
            Kind::Prefix | Kind::PrefixPriority => others.push(node.located("", path)),
            Kind::Pattern { ignore_case } => {
                let modifier = if *ignore_case { "~*" } else { "~" };
                let pattern = below(&prefix, &longer, path);
                patterns.push(node.located(modifier, &pattern));
            }
        }
    }
    Some((patterns, others))
}

/// What counts in a location that lies in a block with these directives.
fn inherited(inner: &Node, around: &[&Node]) -> Vec<Node> {
    // Who gets in is said by both together.
    let group = |name: &str| if name == "deny" { "allow" } else { name }.to_owned();
    let is_said = |name: &str| {
        let own = inner.children().iter();
        own.map(|node| group(&node.name))
            .any(|own| own == group(name))
    };
    let counts = |node: &&&Node| {
        let name = node.name.as_str();
        !OWN.contains(&name) && !name.ends_with("_pass") && !is_said(name)
    };
    let around = around.iter().filter(counts).map(|node| Node::clone(node));
    around.chain(inner.children().iter().cloned()).collect()
}

/// A pattern for paths that begin with `prefix`, and with none of `longer`.
fn below(prefix: &str, longer: &[&str], pattern: &str) -> String {
    let plain = |text: &str| {
        let mut bytes = text.bytes();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte))
    };
    let begins_so = pattern
        .strip_prefix('^')
        .is_some_and(|rest| rest.starts_with(prefix) && plain(prefix))
        // What comes after it may say that its last byte need not be there, or another.
        && !pattern[1 + prefix.len()..].starts_with(['?', '*', '{'])
        && !pattern.contains('|');
    if longer.is_empty() && (begins_so || prefix == "/") {
        return pattern.to_owned();
    }
    let literal = |text: &str| {
        let mut escaped = String::new();
        for character in text.chars() {
            if !character.is_alphanumeric() && !"/_-".contains(character) {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        format!("(?-i:{escaped})")
    };
    let others = longer.iter().map(|path| format!("(?!{})", literal(path)));
    let others: String = others.collect();
    format!("^(?={}){others}(?s:.*?)(?:{pattern})", literal(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_say_whose_requests_they_are_for() {
        assert_eq!(below("/", &[], r"\.php$"), r"\.php$");
        assert_eq!(below("/pma", &[], r"^/pma/(.+\.php)$"), r"^/pma/(.+\.php)$");
        for pattern in [r"\.php$", "^/pma?", "^/pma|x"] {
            let whole = format!("^(?=(?-i:/pma))(?s:.*?)(?:{pattern})");
            assert_eq!(below("/pma", &[], pattern), whole);
        }
        assert_eq!(
            below("/a", &["/a.b"], "x"),
            r"^(?=(?-i:/a))(?!(?-i:/a\.b))(?s:.*?)(?:x)"
        );
    }
}

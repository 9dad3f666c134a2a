//! Words of nginx as documents have them.

use serde_json::{Value, json};

use super::node::Node;

/// How a directive's arguments become a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One word as it is.
    Word,
    /// All words as they are.
    Words,
    /// A time.
    Time,
    /// A number.
    Number,
    /// `on` or `off`.
    Switch,
}

impl Form {
    /// The value; `None` if the directive is written otherwise.
    pub(super) fn read(self, node: &Node) -> Option<Value> {
        let [word] = &node.arguments[..] else {
            let words = self == Self::Words && !node.arguments.is_empty();
            return words.then(|| json!(node.arguments));
        };
        if word.contains('$') {
            return None;
        }
        match self {
            Self::Word => Some(json!(word)),
            Self::Words => Some(json!([word])),
            Self::Time => Some(json!(time(word))),
            Self::Number => word.parse::<u64>().ok().map(Value::from),
            Self::Switch => switch(word).map(Value::from),
        }
    }
}

pub(super) fn switch(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// A time as documents have it: nginx counts in seconds without a unit.
pub(super) fn time(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{text}s")
    } else {
        text.to_owned()
    }
}

/// Numbers, each as a number.
pub(super) fn numbers(words: &[String]) -> Option<Vec<u64>> {
    words.iter().map(|word| word.parse().ok()).collect()
}

/// The name of the variable that a word is.
pub(super) fn variable(word: &str) -> Option<&str> {
    let name = word.strip_prefix('$')?;
    let name = name
        .strip_prefix('{')
        .map_or(Some(name), |it| it.strip_suffix('}'))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

/// The part of a request that a variable holds: a header, a cookie or a
/// parameter of the query.
pub(super) fn request_part(word: &str) -> Option<Value> {
    let name = variable(word)?;
    let parts = [
        ("http_", "header"),
        ("cookie_", "cookie"),
        ("arg_", "query"),
    ];
    parts.iter().find_map(|(prefix, part)| {
        let name = name.strip_prefix(prefix)?;
        let name = if *part == "header" {
            name.replace('_', "-")
        } else {
            name.to_owned()
        };
        Some(json!({ *part: name }))
    })
}

/// `NAME=value` among the arguments behind the first.
pub(super) fn parameter<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    let arguments = node.arguments.iter().skip(1);
    let mut values =
        arguments.filter_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
    values.next()
}

/// Whether every argument behind the first is one of these words, or begins with
/// one and `=`.
pub(super) fn only(node: &Node, known: &[&str]) -> bool {
    let arguments = node.arguments.iter().skip(1);
    let mut names = arguments.map(|it| it.split_once('=').map_or(it.as_str(), |(name, _)| name));
    names.all(|name| known.contains(&name))
}

//! From serde's words to a field and a rule.
//!
//! serde tells unknown and missing fields about the mapping around them, and
//! repeats values, which may be secrets or hostile. Here fields become part of
//! the pointer and values are left out.

use std::fmt;

use crate::model::value::ValueError;

/// An error about one field, raised where the whole mapping is looked at.
#[derive(Debug)]
pub(crate) struct FieldError {
    /// Its name.
    pub(crate) field: &'static str,
    /// What is wrong with it.
    pub(crate) error: ValueError,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In the form `explain` takes apart, which people can read as well.
        write!(f, "/{}: {}", self.field, self.error)
    }
}

/// What an error of serde says: the field below the place where it was raised,
/// if it is about one, and the rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Explained {
    pub(super) field: Option<String>,
    pub(super) rule: String,
}

pub(super) fn explain(message: &str) -> Explained {
    if let Some((field, rule)) = message.strip_prefix('/').and_then(|at| at.split_once(": ")) {
        return Explained {
            field: Some(field.to_owned()),
            rule: rule.to_owned(),
        };
    }
    if let Some((field, known)) = about(message, "unknown field `") {
        return Explained {
            field: Some(field.to_owned()),
            rule: format!("there is no such field; expected {known}"),
        };
    }
    if let Some(field) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'))
    {
        return Explained {
            field: Some(field.to_owned()),
            rule: "the field is required".to_owned(),
        };
    }
    let rule = if let Some((_, known)) = about(message, "unknown variant `") {
        format!("expected {known}")
    } else {
        kinds(message).unwrap_or_else(|| message.to_owned())
    };
    Explained { field: None, rule }
}

/// The name between backticks, and what was expected instead.
fn about<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let rest = message.strip_prefix(prefix)?;
    // The last one: the name itself may say anything.
    rest.rsplit_once("`, expected ").or_else(|| {
        rest.rsplit_once("`, there are no ")
            .map(|(name, _)| (name, "nothing"))
    })
}

/// `invalid type: string "x", expected u16` without the value.
fn kinds(message: &str) -> Option<String> {
    let rest = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let found = found
        .split(['"', '`'])
        .next()
        .unwrap_or_default()
        .trim_end();
    let expected = match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "i64" => "a whole number",
        "a map" => "a mapping",
        other if other.starts_with("struct ") => "a mapping",
        other => other,
    };
    Some(format!("expected {expected}, found {found}"))
}

/// `text` as it can be shown: no control or direction characters, and short.
pub(super) fn shown(text: &str, limit: usize) -> String {
    let plain = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut characters = text.chars().filter(plain);
    let mut shown: String = characters.by_ref().take(limit).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_explained_without_their_values() {
        for (message, field, rule) in [
            (
                "unknown field `x`, expected one of `a`, `b`",
                Some("x"),
                "there is no such field; expected one of `a`, `b`",
            ),
            (
                "unknown field `x`, expected `y`, expected `a`",
                Some("x`, expected `y"),
                "there is no such field; expected `a`",
            ),
            (
                "missing field `spec`",
                Some("spec"),
                "the field is required",
            ),
            (
                "unknown variant `SECRET`, expected `a` or `b`",
                None,
                "expected `a` or `b`",
            ),
            (
                r#"invalid type: string "SECRET, expected x", expected u16"#,
                None,
                "expected a whole number from 0 to 65535, found string",
            ),
            (
                "invalid type: integer `7`, expected a string",
                None,
                "expected a string, found integer",
            ),
            (
                "invalid type: sequence, expected struct Raw",
                None,
                "expected a mapping, found sequence",
            ),
            (
                "/path: it has a rule: two",
                Some("path"),
                "it has a rule: two",
            ),
            ("a plain rule", None, "a plain rule"),
        ] {
            let expected = Explained {
                field: field.map(str::to_owned),
                rule: rule.to_owned(),
            };
            assert_eq!(explain(message), expected, "{message}");
        }
    }

    #[test]
    fn what_is_shown_is_plain_and_short() {
        assert_eq!(shown("a\n\u{1b}[31mb\u{202e}c", 80), "a[31mbc");
        assert_eq!(shown("ünïcödé", 7), "ünïcödé");
        assert_eq!(shown("abcdef", 3), "abc…");
    }
}

//! Label selectors: `env=prod,zone in (a,b),!canary`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    Labels,
    value::{LabelKey, LabelValue, ValueError},
};

/// One condition on the labels of an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// `key=value` or `key in (a,b)`: the label is there with one of the values.
    In(LabelKey, LabelValues),
    /// `key!=value` or `key notin (a,b)`: the label is absent or has another value.
    NotIn(LabelKey, LabelValues),
    /// `key`: the label is there.
    Exists(LabelKey),
    /// `!key`: the label is absent.
    Absent(LabelKey),
}

/// Values of a label, in order and each once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelValues(Box<[LabelValue]>);

impl LabelValues {
    /// Whether `value` is one of them.
    #[must_use]
    pub fn contains(&self, value: &LabelValue) -> bool {
        self.0.binary_search(value).is_ok()
    }

    /// Whether none of them is among `others`.
    #[must_use]
    pub fn is_disjoint(&self, others: &Self) -> bool {
        !self.iter().any(|value| others.contains(value))
    }

    /// Whether all of them are among `others`.
    #[must_use]
    pub fn is_subset(&self, others: &Self) -> bool {
        self.iter().all(|value| others.contains(value))
    }

    /// The values, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, LabelValue> {
        self.0.iter()
    }

    /// How many there are; a selector has at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "none of a selector is empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<LabelValue> for LabelValues {
    fn from_iter<I: IntoIterator<Item = LabelValue>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort();
        values.dedup();
        Self(values.into())
    }
}

impl<'v> IntoIterator for &'v LabelValues {
    type Item = &'v LabelValue;
    type IntoIter = std::slice::Iter<'v, LabelValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Chooses agents by their labels; all requirements must hold.
///
/// The empty selector chooses every agent of the workspace.
///
/// ```
/// use nxmesh_core::model::{Labels, Selector};
///
/// let selector: Selector = "env=prod,zone in (a,b),!canary".parse()?;
/// let labels = |pairs: &[(&str, &str)]| -> Result<Labels, Box<dyn std::error::Error>> {
///     pairs.iter().map(|(key, value)| Ok((key.parse()?, value.parse()?))).collect()
/// };
/// assert!(selector.matches(&labels(&[("env", "prod"), ("zone", "b")])?));
/// assert!(!selector.matches(&labels(&[("env", "prod"), ("zone", "b"), ("canary", "")])?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

impl Selector {
    const ERROR: ValueError = ValueError {
        rule: "a selector is a list of key=value, key!=value, key in (a,b), key notin (a,b), key and !key, joined by commas",
        example: "env=prod,zone in (a,b),!canary",
    };
    /// More than any person writes; bounds the work per agent.
    const MAX_BYTES: usize = 2000;

    /// Chooses every agent.
    pub(super) const EVERY_AGENT: Self = Self {
        requirements: Vec::new(),
    };

    /// Whether an agent with `labels` is chosen.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements
            .iter()
            .all(|requirement| match requirement {
                Requirement::In(key, values) => {
                    labels.get(key).is_some_and(|value| values.contains(value))
                }
                Requirement::NotIn(key, values) => {
                    labels.get(key).is_none_or(|value| !values.contains(value))
                }
                Requirement::Exists(key) => labels.contains_key(key),
                Requirement::Absent(key) => !labels.contains_key(key),
            })
    }

    /// The requirements, in the order they were written.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
}

impl FromStr for Selector {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.len() > Self::MAX_BYTES {
            return Err(Self::ERROR);
        }
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let requirements = split_outside_parentheses(text)
            .map(|part| requirement(part.trim()).ok_or(Self::ERROR))
            .collect::<Result<_, _>>()?;
        Ok(Self { requirements })
    }
}

fn split_outside_parentheses(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    })
}

fn requirement(text: &str) -> Option<Requirement> {
    let key = |text: &str| LabelKey::parse(text.trim()).ok();
    let one = |text: &str| {
        Some(LabelValues::from_iter([
            LabelValue::parse(text.trim()).ok()?
        ]))
    };
    if let Some(list) = text.strip_suffix(')') {
        let (head, list) = list.split_once('(')?;
        let values = list
            .split(',')
            .map(|value| LabelValue::parse(value.trim()).ok())
            .collect::<Option<_>>()?;
        let mut words = head.split_whitespace();
        let (name, operator) = (key(words.next()?)?, words.next()?);
        return match (operator, words.next()) {
            ("in", None) => Some(Requirement::In(name, values)),
            ("notin", None) => Some(Requirement::NotIn(name, values)),
            _ => None,
        };
    }
    if let Some((name, value)) = text.split_once("!=") {
        return Some(Requirement::NotIn(key(name)?, one(value)?));
    }
    if let Some((name, value)) = text.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return Some(Requirement::In(key(name)?, one(value)?));
    }
    if let Some(name) = text.strip_prefix('!') {
        return Some(Requirement::Absent(key(name)?));
    }
    Some(Requirement::Exists(key(text)?))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &LabelValues| {
            values
                .iter()
                .map(LabelValue::as_str)
                .collect::<Vec<_>>()
                .join(",")
        };
        match self {
            Self::In(key, values) if values.len() == 1 => write!(f, "{key}={}", list(values)),
            Self::In(key, values) => write!(f, "{key} in ({})", list(values)),
            Self::NotIn(key, values) if values.len() == 1 => write!(f, "{key}!={}", list(values)),
            Self::NotIn(key, values) => write!(f, "{key} notin ({})", list(values)),
            Self::Exists(key) => write!(f, "{key}"),
            Self::Absent(key) => write!(f, "!{key}"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Selector {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Selector".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        crate::schema::value(serde_json::json!("string"), Self::ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        text.split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn each_requirement_chooses_what_it_says() {
        for (selector, chosen, others) in [
            ("", "", "~"),
            ("env=prod", "env=prod", "env=dev"),
            ("env==prod", "env=prod", "env=dev"),
            ("env!=prod", "env=dev", "env=prod"),
            ("zone in (a, b)", "zone=b", "zone=c"),
            ("zone notin (a,b)", "zone=c", "zone=a"),
            ("canary", "canary=", "env=prod"),
            ("!canary", "env=prod", "canary=yes"),
            ("env=prod,!canary", "env=prod", "env=prod canary=1"),
        ] {
            let parsed: Selector = selector.parse().unwrap();
            assert!(
                parsed.matches(&labels(chosen)),
                "{selector:?} on {chosen:?}"
            );
            if others != "~" {
                assert!(
                    !parsed.matches(&labels(others)),
                    "{selector:?} on {others:?}"
                );
            }
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn malformed_selectors_are_refused() {
        for text in [
            "=",
            "a=b,",
            "a in b",
            "a in (b",
            "a in b)",
            "a near (b)",
            "!",
            "a=b c",
            "a in (b))",
            ",",
            "a\n=b\u{0}",
        ] {
            assert!(text.parse::<Selector>().is_err(), "{text:?} was accepted");
        }
    }
}

//! Reading resources from YAML and JSON, as people write them.
//!
//! Errors name the document, a JSON pointer, the rule and an example. Nothing
//! is read half: one bad document fails the whole text, and every bad document
//! in it is told.

mod json;
mod message;
mod pointed;
mod text;

use std::{cell::Cell, fmt};

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, DeserializeSeed as _},
};
use serde_json::Value;

use crate::model::{Resource, ResourceKind, for_each_kind, value::SEPARATOR};

pub(crate) use message::FieldError;
use message::{explain, shown};
use pointed::{Pointed, push_key};

/// The longest text taken, in bytes.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// The most values in a text: fields count with their values, lists with their items.
const MAX_TEXT_VALUES: usize = 1_500_000;

/// The most documents in a text, and items in a list.
const MAX_DOCUMENTS: usize = 30_000;

/// The most values in one document.
const MAX_VALUES: usize = 200_000;

/// The most problems that are told one by one; how many more there are is told after.
pub const MAX_PROBLEMS: usize = 100;

/// The longest pointer and rule in a problem, in characters.
const SHOWN: usize = 500;

/// Where a document stands: `shop.yaml#2 (VirtualHost/shop)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The file or other source, as the caller names it.
    pub source: String,
    /// The place among its documents, from 1.
    pub number: usize,
    /// `kind/name`, as far as it could be read.
    pub key: Option<String>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.source, self.number)?;
        match &self.key {
            Some(key) => write!(f, " ({key})"),
            None => Ok(()),
        }
    }
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Problem {
    /// The document.
    pub document: String,
    /// JSON pointer (RFC 6901) to the value; empty for the document itself.
    pub pointer: String,
    /// What the value has to be.
    pub rule: String,
    /// A value that is accepted; empty where none fits in a line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub example: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.document)?;
        if !self.pointer.is_empty() {
            write!(f, ": {}", self.pointer)?;
        }
        write!(f, ": {}", self.rule)?;
        if !self.example.is_empty() {
            write!(f, "{SEPARATOR}{}", self.example)?;
        }
        Ok(())
    }
}

impl Problem {
    /// A problem of `document` at `pointer`, with the rule and the example in
    /// one text as [`ValueError`](crate::model::value::ValueError) shows them.
    #[must_use]
    pub fn new(document: impl fmt::Display, pointer: impl Into<String>, message: &str) -> Self {
        let (rule, example) = message.rsplit_once(SEPARATOR).unwrap_or((message, ""));
        Self {
            document: document.to_string(),
            pointer: pointer.into(),
            rule: rule.to_owned(),
            example: example.to_owned(),
        }
    }
}

/// The first of many problems, and how many more there are, `uncounted` ones included.
pub(crate) fn bounded(mut problems: Vec<Problem>, uncounted: usize, about: &str) -> Vec<Problem> {
    let more = uncounted + problems.len().saturating_sub(MAX_PROBLEMS);
    if more > 0 {
        problems.truncate(MAX_PROBLEMS);
        let rule = format!("there are {more} more problems; mend these first");
        problems.push(Problem::new(about, "", &rule));
    }
    problems
}

/// A resource and where it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// Where it stands.
    pub origin: Origin,
    /// What it says.
    pub resource: Resource,
}

/// Reads every document of a text of YAML (or JSON, which is YAML). A list, as
/// the API answers it, counts as its items.
///
/// # Errors
///
/// The problems found, at least one: the first hundred documents that are wrong,
/// and how many more.
///
/// ```
/// let problems = nxmesh_core::document::parse("shop.yaml", r#"
/// kind: Upstream
/// metadata: { name: shop }
/// spec: { servers: [{ address: "10.0.0.11" }] }
/// "#).unwrap_err();
/// assert_eq!(problems[0].pointer, "/spec/servers/0/address");
/// assert_eq!(problems[0].example, "10.0.0.11:8080");
/// ```
pub fn parse(source: &str, text: &str) -> Result<Vec<Parsed>, Vec<Problem>> {
    text::parse(source, text)
}

/// Reads one document that is already JSON; `origin` names it in the problem.
///
/// # Errors
///
/// The first problem found.
pub fn parse_value(origin: &str, value: Value) -> Result<Resource, Problem> {
    let name = key_of(&value).map_or_else(|| origin.to_owned(), |key| format!("{origin} ({key})"));
    from_value(value).map_err(|(pointer, message)| Problem::new(name, pointer, &message))
}

/// Reads a document in its canonical JSON form, as agents receive it.
///
/// # Errors
///
/// The first problem found.
pub fn parse_canonical(origin: &str, json: &[u8]) -> Result<Resource, Problem> {
    let value = strict(origin, json)?;
    parse_value(origin, value)
}

/// Reads anything else that travels as JSON, with the same errors: none repeats
/// a value, which may be a secret.
///
/// # Errors
///
/// The first problem found.
pub fn parse_json<T: DeserializeOwned>(origin: &str, json: &[u8]) -> Result<T, Problem> {
    typed(&strict(origin, json)?)
        .map_err(|(pointer, message)| Problem::new(origin, pointer, &message))
}

fn strict(origin: &str, json: &[u8]) -> Result<Value, Problem> {
    let text = Cell::new(usize::MAX);
    let room = json::Room::for_values(usize::MAX, &text);
    let mut reader = serde_json::Deserializer::from_slice(json);
    json::Strict::value(&room)
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| {
            let rule = format!("the document is not JSON: {}", first_line(&error));
            Problem::new(origin, "", &rule)
        })
}

/// The first line of what a parser says, which may repeat parts of the text.
fn first_line(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    shown(line.strip_prefix("error: ").unwrap_or(line), SHOWN)
}

fn key_of(value: &Value) -> Option<String> {
    let kind = value.get("kind")?.as_str()?;
    let name = value.pointer("/metadata/name")?.as_str()?;
    // Both are untrusted here and go into messages.
    Some(format!("{}/{}", shown(kind, 80), shown(name, 80)))
}

/// A pointer, and the rule that its value breaks.
type Broken = (String, String);

pub(crate) fn from_value(mut value: Value) -> Result<Resource, Broken> {
    let Some(object) = value.as_object_mut() else {
        return Err((
            String::new(),
            "a document is a mapping with kind, metadata and spec, for example kind: Upstream"
                .to_owned(),
        ));
    };
    let kind = object.remove("kind").unwrap_or_default();
    let kind = ResourceKind::ALL
        .into_iter()
        .find(|known| kind.as_str() == Some(known.as_str()))
        .ok_or_else(|| ("/kind".to_owned(), ResourceKind::ERROR.to_string()))?;
    macro_rules! read {
        ($($kind:ident $plural:literal $aliases:tt,)*) => {
            match kind {
                $(ResourceKind::$kind => Resource::$kind(typed(&value)?),)*
            }
        };
    }
    Ok(for_each_kind!(read))
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Broken> {
    T::deserialize(Pointed::document(value)).map_err(|error| {
        let (mut pointer, message) = error.into_parts();
        let explained = explain(&message);
        if let Some(field) = explained.field {
            let mut below = String::new();
            push_key(&mut below, &field);
            // The pointer ends with an unknown field already.
            if !pointer.ends_with(&below) {
                pointer.push_str(&below);
            }
        }
        (shown(&pointer, SHOWN), shown(&explained.rule, SHOWN))
    })
}

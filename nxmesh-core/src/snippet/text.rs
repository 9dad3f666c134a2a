//! The text of a snippet.

use std::convert::Infallible;

use super::{
    error::{SnippetError, SnippetRule},
    passes::{passed_to, renamed},
};
use crate::syntax::{Config, Position, parse};

/// The longest snippet, in bytes; of some contexts it is shorter
/// ([`SnippetContext::max_bytes`](super::SnippetContext::max_bytes)).
pub const MAX_SNIPPET_BYTES: usize = 1 << 20;

/// Whole directives of nginx, as somebody wrote them: every block, quote and
/// directive that is opened is closed, and nothing else is.
///
/// Which directives they are is for a [`SnippetPolicy`](super::SnippetPolicy) to judge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SnippetText(Box<str>);

impl SnippetText {
    /// Parses `text`.
    ///
    /// # Errors
    ///
    /// [`SnippetError`] with line, column, rule and example.
    pub fn parse(text: &str) -> Result<Self, SnippetError> {
        let start = Position { line: 1, column: 1 };
        let error = |position, rule| SnippetError { position, rule };
        if text.len() > MAX_SNIPPET_BYTES {
            return Err(error(start, SnippetRule::TooLong));
        }
        let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if let Some(at) = text.find(|c: char| !plain(c)) {
            return Err(error(Position::of(text, at), SnippetRule::Control));
        }
        // Something follows it, so that its last comment has to end as well.
        if parse(&format!("{text}\n"))?.directives().is_empty() {
            return Err(error(start, SnippetRule::Empty));
        }
        Ok(Self(text.into()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its directives.
    #[must_use]
    pub fn config(&self) -> Config<'_> {
        // It was parsed before, so it parses.
        parse(&self.0).unwrap_or_default()
    }

    /// The names that its directives pass requests to, `proxy_pass http://shop`:
    /// hosts without a port, and values of variables that may be such.
    #[must_use]
    pub fn passes_to(&self) -> Vec<&str> {
        let ranges = passed_to(&self.0, &self.config());
        let found = ranges.into_iter().map(|passed| &self.0[passed.range]);
        found.collect()
    }

    /// The text with other names where it passes requests to those that `called`
    /// knows. It is told the name, and if it is the value of a variable, that, as it is
    /// written: `$pool`.
    #[must_use]
    pub fn passing_to(
        &self,
        mut called: impl FnMut(&str, Option<&str>) -> Option<String>,
    ) -> String {
        let called = |name: &str, of: Option<&str>| Ok::<_, Infallible>(called(name, of));
        let Ok(text) = renamed(&self.0, &self.config(), called);
        text.into_owned()
    }
}

impl std::fmt::Display for SnippetText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for SnippetText {
    type Err = SnippetError;

    fn from_str(text: &str) -> Result<Self, SnippetError> {
        Self::parse(text)
    }
}

impl serde::Serialize for SnippetText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for SnippetText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for SnippetText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SnippetText".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let error = crate::model::value::ValueError {
            rule: "whole directives of nginx, 1 MiB at most, or 64 KiB where they go into other documents",
            example: "etag off;",
        };
        crate::schema::value(serde_json::json!("string"), error)
    }
}

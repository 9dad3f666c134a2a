//! Requests for one path that are answered differently.

use serde::{Deserialize, Serialize};

use super::{Action, Variable, written::Actions, written::RawRoute};
use crate::model::value::{HeaderName, MatchText, Method, RegexPattern, ValueError, VariableName};

/// Another action for some requests of a location. The first route that a
/// request matches counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRoute", into = "RawRoute")]
pub struct Route {
    /// Which requests it is for.
    pub when: Condition,
    /// What is done with them.
    pub action: Action,
}

impl TryFrom<RawRoute> for Route {
    type Error = ValueError;

    fn try_from(raw: RawRoute) -> Result<Self, ValueError> {
        let (when, actions) = raw.into_parts();
        let action = actions.one()?;
        Ok(Self { when, action })
    }
}

impl From<Route> for RawRoute {
    fn from(route: Route) -> Self {
        Self::of(route.when, Actions::of(route.action))
    }
}

/// What a request has to be like; all of it has to hold, and it says something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Its method is one of these, at most 10. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// Its headers. A name has letters, digits and '-' only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<FieldMatch<HeaderName>>,
    /// The arguments of its query, as they were sent: `%20` is not a space.
    /// Names count without regard to case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<FieldMatch<VariableName>>,
    /// Its cookies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<FieldMatch<VariableName>>,
    /// What nginx knows about it otherwise: `{ name: scheme, value: https }`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<FieldMatch<Variable>>,
}

impl Condition {
    /// How many things it asks for; a request of any of its methods is one.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(!self.methods.is_empty())
            + self.headers.len()
            + self.query.len()
            + self.cookies.len()
            + self.variables.len()
    }
}

/// A header, argument or cookie and what it has to be like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "RawFieldMatch<N>",
    into = "RawFieldMatch<N>",
    bound(
        serialize = "N: Serialize + Clone",
        deserialize = "N: Deserialize<'de>"
    )
)]
pub struct FieldMatch<N> {
    /// Its name.
    pub name: N,
    /// What it has to be like.
    pub text: TextMatch,
}

/// What a text has to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextMatch {
    /// It is there and not empty.
    Present,
    /// It is not there, or empty.
    Absent,
    /// It is this one, with regard to case.
    Value(MatchText),
    /// It matches a pattern.
    Pattern(RegexPattern),
}

/// A header, argument or cookie as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFieldMatch<N> {
    /// Its name. With nothing else it has to be there and not empty.
    name: N,
    /// It is this text, with regard to case. At most one of value, pattern and
    /// absent is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<MatchText>,
    /// It matches this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<RegexPattern>,
    /// It is not there, or empty. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    absent: bool,
}

impl<N> TryFrom<RawFieldMatch<N>> for FieldMatch<N> {
    type Error = ValueError;

    fn try_from(raw: RawFieldMatch<N>) -> Result<Self, ValueError> {
        let text = match (raw.value, raw.pattern, raw.absent) {
            (None, None, false) => TextMatch::Present,
            (None, None, true) => TextMatch::Absent,
            (Some(value), None, false) => TextMatch::Value(value),
            (None, Some(pattern), false) => TextMatch::Pattern(pattern),
            _ => {
                return Err(ValueError {
                    rule: "a condition has at most one of value, pattern and absent: true",
                    example: "{ name: X-Version, value: v2 }",
                });
            }
        };
        let name = raw.name;
        Ok(Self { name, text })
    }
}

impl<N> From<FieldMatch<N>> for RawFieldMatch<N> {
    fn from(field: FieldMatch<N>) -> Self {
        let mut raw = Self {
            name: field.name,
            value: None,
            pattern: None,
            absent: false,
        };
        match field.text {
            TextMatch::Present => {}
            TextMatch::Absent => raw.absent = true,
            TextMatch::Value(value) => raw.value = Some(value),
            TextMatch::Pattern(pattern) => raw.pattern = Some(pattern),
        }
        raw
    }
}

#[cfg(feature = "schema")]
impl<N: schemars::JsonSchema> schemars::JsonSchema for FieldMatch<N> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        <RawFieldMatch<N>>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        <RawFieldMatch<N>>::json_schema(generator)
    }
}

//! Which path an upstream is asked for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::value::{RegexPattern, UriPath, ValueError, fits_a_token};

/// Which path the upstream is asked for. The query stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRewrite", into = "RawRewrite")]
pub enum Rewrite {
    /// The path of the location, where the request's path begins with it, is
    /// replaced by this. Not for a location with a pattern.
    Prefix(UriPath),
    /// A path that matches becomes another; one that does not stays as it is.
    Pattern {
        /// Compared with the decoded path.
        pattern: RegexPattern,
        /// What becomes of it.
        to: PathTemplate,
    },
}

/// A path with `{1}` to `{9}` where captures of a pattern stand.
///
/// It has no query: nginx would count its characters wrongly where the captures
/// have to be escaped (CVE-2026-42945).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate(Box<str>);

/// A part of a [`PathTemplate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplatePart<'t> {
    /// This text.
    Text(&'t str),
    /// The capture of this number, 1 to 9.
    Capture(u8),
}

impl PathTemplate {
    pub(crate) const ERROR: ValueError = ValueError {
        rule: "a path to rewrite to starts with '/', has {1} to {9} where captures stand, and no other braces, '?', '#' or control characters, 1000 bytes at most",
        example: "/new/{1}",
    };

    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, in order.
    pub fn parts(&self) -> impl Iterator<Item = TemplatePart<'_>> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let bytes = rest.as_bytes();
            match bytes {
                [] => None,
                [b'{', digit, b'}', ..] => {
                    rest = &rest[3..];
                    Some(TemplatePart::Capture(digit - b'0'))
                }
                _ => {
                    let (text, other) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
                    rest = other;
                    Some(TemplatePart::Text(text))
                }
            }
        })
    }

    /// The largest number of a capture in it; 0 for none.
    #[must_use]
    pub fn captures(&self) -> usize {
        let number = |part| match part {
            TemplatePart::Capture(number) => usize::from(number),
            TemplatePart::Text(_) => 0,
        };
        self.parts().map(number).max().unwrap_or(0)
    }
}

impl FromStr for PathTemplate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |c: char| !matches!(c, '?' | '#');
        let mut braces = text.split('{').skip(1);
        let whole = braces.all(|rest| {
            matches!(rest.as_bytes(), [b'1'..=b'9', b'}', ..]) && !rest[2..].contains('}')
        });
        let first = text.split('{').next().unwrap_or_default();
        let fits = text.len() <= 1000 && fits_a_token(text);
        let fits = fits && text.starts_with('/') && text.chars().all(plain);
        if fits && whole && !first.contains('}') {
            Ok(Self(text.into()))
        } else {
            Err(Self::ERROR)
        }
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PathTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PathTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A rewrite as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRewrite {
    /// What the path of the location is replaced by. Either this is there, or
    /// pattern and to are. Not for a location with a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<UriPath>,
    /// A pattern that is compared with the decoded path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<RegexPattern>,
    /// What a path that matches becomes; {1} to {9} are captures of the pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<PathTemplate>,
}

impl TryFrom<RawRewrite> for Rewrite {
    type Error = ValueError;

    fn try_from(raw: RawRewrite) -> Result<Self, ValueError> {
        match (raw.prefix, raw.pattern, raw.to) {
            (Some(prefix), None, None) => Ok(Self::Prefix(prefix)),
            (None, Some(pattern), Some(to)) => {
                if to.captures() > pattern.captures() {
                    return Err(ValueError {
                        rule: "a rewrite has captures of its pattern only",
                        example: "{ pattern: ^/old/(.*)$, to: \"/new/{1}\" }",
                    });
                }
                Ok(Self::Pattern { pattern, to })
            }
            _ => Err(ValueError {
                rule: "a rewrite has either prefix, or pattern and to",
                example: "{ prefix: /v1/ }",
            }),
        }
    }
}

impl From<Rewrite> for RawRewrite {
    fn from(rewrite: Rewrite) -> Self {
        let (prefix, pattern, to) = match rewrite {
            Rewrite::Prefix(prefix) => (Some(prefix), None, None),
            Rewrite::Pattern { pattern, to } => (None, Some(pattern), Some(to)),
        };
        Self {
            prefix,
            pattern,
            to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_texts_and_captures() {
        let template: PathTemplate = "/a$/{2}{1}.x".parse().expect("a template");
        let parts: Vec<_> = template.parts().collect();
        let (text, capture) = (TemplatePart::Text, TemplatePart::Capture);
        assert_eq!(parts, [text("/a$/"), capture(2), capture(1), text(".x")]);
        assert_eq!(template.captures(), 2);
        for text in [
            "", "a", "/{0}", "/{10}", "/{", "/}", "/{1", "/{x}", "/{1}}", "/a?b", "/a#b", "/\n",
        ] {
            assert!(text.parse::<PathTemplate>().is_err(), "{text:?}");
        }
    }
}

//! The values resources are made of. Each can only be made by parsing.

mod name;
mod net;
mod path;
mod quantity;
mod request;
mod secret;
mod text;
mod web;

pub use name::{LabelKey, LabelValue, ResourceName, ServerName, UserName, WorkspaceName};
pub use net::{
    AccessSource, HeaderName, HostName, ListenAddress, Network, Port, RedirectTarget,
    UpstreamAddress,
};
pub(crate) use path::is_reserved_variable;
pub use path::{FilePath, IndexName, LocationPath, RegexPattern};
pub use quantity::{
    Percent, RedirectCode, RefusalCode, SizeBytes, StatusCode, Time, UpstreamStatus,
};
pub use request::{
    ClientName, CorsOrigin, HeaderVariable, LogFormat, LogPart, LogStatus, Method, Realm,
    RequestTarget, SyslogAddress, VariableName,
};
pub use secret::{ApiKey, PasswordHash};
pub use text::{ContentType, HeaderValue, ResponseBody, TemplateSource};
pub use web::{
    CipherList, CookieDomain, CookiePath, CurveList, FileExtension, FileSuffix, MatchText,
    ParamName, UriPath,
};

/// Why a text is not a value of some type.
///
/// Shown as `<rule>, for example <example>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{rule}{SEPARATOR}{example}")]
pub struct ValueError {
    /// What the value has to be, as a sentence without a full stop.
    pub rule: &'static str,
    /// A value that is accepted.
    pub example: &'static str,
}

pub(crate) const SEPARATOR: &str = ", for example ";

/// The longest token nginx takes is 4095 bytes, so a value stays below that in
/// its quoted form (`src/core/ngx_conf_file.c`, `NGX_CONF_BUFFER`).
const QUOTED_LIMIT: usize = 4000;

/// Whether `text` can stand in a quoted nginx token: no control characters,
/// and short enough once `"`, `\` and `$` are written in their longer forms.
pub(crate) fn fits_a_token(text: &str) -> bool {
    !text.contains(['\n', '\t']) && fits_lines(text)
}

/// As [`fits_a_token`], with line breaks and tabs, which are written in longer forms too.
pub(crate) fn fits_lines(text: &str) -> bool {
    let mut quoted = 0;
    for character in text.chars() {
        if character.is_control() && !matches!(character, '\n' | '\t') {
            return false;
        }
        quoted += match character {
            '"' | '\\' | '\n' | '\t' => 2,
            '$' => "${nxmesh_dollar}".len(),
            other => other.len_utf8(),
        };
    }
    quoted <= QUOTED_LIMIT
}

/// Defines a text type that can only be made by parsing.
///
/// `parse` gets the text and returns its normal form, or `None` if it breaks
/// the rule.
macro_rules! parsed_text {
    ($(#[$doc:meta])* $name:ident, rule: $rule:expr, example: $example:expr, parse: $parse:expr $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses `text`.
            ///
            /// # Errors
            ///
            /// [`ValueError`](super::ValueError) with the rule of this type and an example.
            pub fn parse(text: &str) -> Result<Self, super::ValueError> {
                let parse: fn(&str) -> Option<String> = $parse;
                parse(text)
                    .map(|normal| Self(normal.into_boxed_str()))
                    .ok_or(super::ValueError { rule: $rule, example: $example })
            }

            /// The text in its normal form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let error = super::ValueError { rule: $rule, example: $example };
                crate::schema::value(serde_json::json!("string"), error)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = super::ValueError;

            fn from_str(text: &str) -> Result<Self, super::ValueError> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
use parsed_text;

//! A location as it is written in documents.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Action, Location, PathMatch, Proxy, Redirect, Respond, StaticFiles};
use crate::{
    document::FieldError,
    model::{Traffic, TrafficSettings, traffic::Splitting, value::ValueError},
};

/// A location as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLocation {
    /// The path or pattern that is compared with the request's path.
    path: String,
    /// How it is compared. Default: `prefix` (nginx: `location`).
    #[serde(default, rename = "match", skip_serializing_if = "RawMatch::is_prefix")]
    kind: RawMatch,
    /// Passes requests to an upstream. Exactly one of proxy, static, redirect and respond is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy: Option<Proxy>,
    /// Serves files from the agent's machine.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    files: Option<StaticFiles>,
    /// Redirects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect: Option<Redirect>,
    /// Answers with a fixed response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    respond: Option<Respond>,
    #[serde(flatten, skip_deserializing)]
    traffic: Traffic,
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = TrafficSettings::default();
        let mut raw = RawLocation::deserialize(Splitting {
            inner: deserializer,
            settings: &mut settings,
        })?;
        raw.traffic = settings.into();
        raw.try_into().map_err(de::Error::custom)
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum RawMatch {
    #[default]
    Prefix,
    Exact,
    PrefixPriority,
    Regex,
    RegexIgnoreCase,
}

impl RawMatch {
    fn is_prefix(&self) -> bool {
        *self == Self::Prefix
    }
}

/// What is wrong with a location: with its path, or with the whole of it.
#[derive(Debug)]
pub(crate) enum LocationError {
    Path(FieldError),
    Action(ValueError),
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => error.fmt(f),
            Self::Action(error) => error.fmt(f),
        }
    }
}

impl RawMatch {
    fn of(self, path: &str) -> Result<PathMatch, ValueError> {
        Ok(match self {
            Self::Exact => PathMatch::Exact(path.parse()?),
            Self::Prefix => PathMatch::Prefix(path.parse()?),
            Self::PrefixPriority => PathMatch::PrefixPriority(path.parse()?),
            Self::Regex => PathMatch::Regex(path.parse()?),
            Self::RegexIgnoreCase => PathMatch::RegexIgnoreCase(path.parse()?),
        })
    }
}

impl TryFrom<RawLocation> for Location {
    type Error = LocationError;

    fn try_from(raw: RawLocation) -> Result<Self, LocationError> {
        let path = raw.kind.of(&raw.path).map_err(|error| {
            let field = "path";
            LocationError::Path(FieldError { field, error })
        })?;
        let action = match (raw.proxy, raw.files, raw.redirect, raw.respond) {
            (Some(proxy), None, None, None) => Action::Proxy(proxy),
            (None, Some(files), None, None) => Action::Static(files),
            (None, None, Some(redirect), None) => Action::Redirect(redirect),
            (None, None, None, Some(respond)) => Action::Respond(respond),
            _ => {
                return Err(LocationError::Action(ValueError {
                    rule: "a location has exactly one of proxy, static, redirect and respond",
                    example: "{ path: /, proxy: { upstream: shop-backend } }",
                }));
            }
        };
        Ok(Self {
            path,
            action,
            traffic: raw.traffic,
        })
    }
}

impl From<Location> for RawLocation {
    fn from(location: Location) -> Self {
        let kind = match &location.path {
            PathMatch::Exact(_) => RawMatch::Exact,
            PathMatch::Prefix(_) => RawMatch::Prefix,
            PathMatch::PrefixPriority(_) => RawMatch::PrefixPriority,
            PathMatch::Regex(_) => RawMatch::Regex,
            PathMatch::RegexIgnoreCase(_) => RawMatch::RegexIgnoreCase,
        };
        let mut raw = Self {
            path: location.path.as_str().to_owned(),
            kind,
            proxy: None,
            files: None,
            redirect: None,
            respond: None,
            traffic: location.traffic,
        };
        match location.action {
            Action::Proxy(proxy) => raw.proxy = Some(proxy),
            Action::Static(files) => raw.files = Some(files),
            Action::Redirect(redirect) => raw.redirect = Some(redirect),
            Action::Respond(respond) => raw.respond = Some(respond),
        }
        raw
    }
}

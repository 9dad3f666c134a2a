//! A location as it is written in documents.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{
    Action, Condition, FastCgi, Grpc, Location, PathMatch, Proxy, Redirect, Respond, Route,
    StaticFiles,
};
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
    /// Passes requests to an upstream. Exactly one of proxy, grpc, fastcgi, static,
    /// redirect and respond is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy: Option<Proxy>,
    /// Passes gRPC requests to an upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grpc: Option<Box<Grpc>>,
    /// Passes requests to a FastCGI server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fastcgi: Option<Box<FastCgi>>,
    /// Serves files from the agent's machine.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    files: Option<StaticFiles>,
    /// Redirects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect: Option<Redirect>,
    /// Answers with a fixed response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    respond: Option<Respond>,
    /// Other actions for requests by their method, headers, query and cookies;
    /// the first that is for a request counts. At most 20, with 60 conditions together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
    /// Send none of the virtual host's `response_headers`, only those of the location
    /// and its policies. Default: false, those of other names are sent too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    own_response_headers_only: bool,
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
        let actions = Actions {
            proxy: raw.proxy,
            grpc: raw.grpc,
            fastcgi: raw.fastcgi,
            files: raw.files,
            redirect: raw.redirect,
            respond: raw.respond,
        };
        let action = actions.one().map_err(LocationError::Action)?;
        Ok(Self {
            path,
            action,
            routes: raw.routes,
            own_response_headers_only: raw.own_response_headers_only,
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
        let actions = Actions::of(location.action);
        Self {
            path: location.path.as_str().to_owned(),
            kind,
            proxy: actions.proxy,
            grpc: actions.grpc,
            fastcgi: actions.fastcgi,
            files: actions.files,
            redirect: actions.redirect,
            respond: actions.respond,
            routes: location.routes,
            own_response_headers_only: location.own_response_headers_only,
            traffic: location.traffic,
        }
    }
}

/// What may be done with requests; one of them is there.
#[derive(Default)]
pub(super) struct Actions {
    proxy: Option<Proxy>,
    grpc: Option<Box<Grpc>>,
    fastcgi: Option<Box<FastCgi>>,
    files: Option<StaticFiles>,
    redirect: Option<Redirect>,
    respond: Option<Respond>,
}

impl Actions {
    /// The one that is there.
    pub(super) fn one(self) -> Result<Action, ValueError> {
        let all = [
            self.proxy.map(Action::Proxy),
            self.grpc.map(Action::Grpc),
            self.fastcgi.map(Action::FastCgi),
            self.files.map(Action::Static),
            self.redirect.map(Action::Redirect),
            self.respond.map(Action::Respond),
        ];
        let mut there = all.into_iter().flatten();
        match (there.next(), there.next()) {
            (Some(action), None) => Ok(action),
            _ => Err(ValueError {
                rule: "a location has exactly one of proxy, grpc, fastcgi, static, redirect and respond",
                example: "{ path: /, proxy: { upstream: shop-backend } }",
            }),
        }
    }

    pub(super) fn of(action: Action) -> Self {
        let mut actions = Self::default();
        match action {
            Action::Proxy(proxy) => actions.proxy = Some(proxy),
            Action::Grpc(grpc) => actions.grpc = Some(grpc),
            Action::FastCgi(fastcgi) => actions.fastcgi = Some(fastcgi),
            Action::Static(files) => actions.files = Some(files),
            Action::Redirect(redirect) => actions.redirect = Some(redirect),
            Action::Respond(respond) => actions.respond = Some(respond),
        }
        actions
    }
}

/// A route as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRoute {
    /// Which requests it is for.
    when: Condition,
    /// Passes requests to an upstream. Exactly one of proxy, grpc, fastcgi, static,
    /// redirect and respond is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy: Option<Proxy>,
    /// Passes gRPC requests to an upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grpc: Option<Box<Grpc>>,
    /// Passes requests to a FastCGI server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fastcgi: Option<Box<FastCgi>>,
    /// Serves files from the agent's machine.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    files: Option<StaticFiles>,
    /// Redirects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect: Option<Redirect>,
    /// Answers with a fixed response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    respond: Option<Respond>,
}

impl RawRoute {
    pub(super) fn into_parts(self) -> (Condition, Actions) {
        let actions = Actions {
            proxy: self.proxy,
            grpc: self.grpc,
            fastcgi: self.fastcgi,
            files: self.files,
            redirect: self.redirect,
            respond: self.respond,
        };
        (self.when, actions)
    }

    pub(super) fn of(when: Condition, actions: Actions) -> Self {
        Self {
            when,
            proxy: actions.proxy,
            grpc: actions.grpc,
            fastcgi: actions.fastcgi,
            files: actions.files,
            redirect: actions.redirect,
            respond: actions.respond,
        }
    }
}

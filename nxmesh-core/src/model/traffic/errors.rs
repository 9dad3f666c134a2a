//! What is sent instead of error pages.

use serde::{Deserialize, Serialize};

use crate::model::{
    Respond, UpstreamScheme, UpstreamTls,
    value::{FilePath, RedirectTarget, RequestTarget, ResourceName, StatusCode},
};

/// What is sent instead of an error (nginx: `error_page`). Of a location that
/// has some, those of the virtual host do not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ErrorPage {
    /// The errors: 1 to 20 codes from 400 to 599.
    pub codes: Vec<StatusCode>,
    /// What is sent for them.
    pub send: ErrorAnswer,
}

/// What is sent for an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorAnswer {
    /// A fixed response, with its own status.
    Respond(Respond),
    /// This file of the agent's machine, for example `{ file: /srv/errors/404.html }`,
    /// with the status of the error.
    File(FilePath),
    /// A redirect (302) to there: a URL, or a path of the host that was asked for.
    Redirect(RedirectTarget),
    /// What an upstream answers to a GET of a fixed path, with the status of the error.
    Upstream(ErrorUpstream),
}

/// Where a page for an error comes from. The path is not that of the request: who
/// was refused must not get what was asked for as a page about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ErrorUpstream {
    /// The Upstream.
    pub upstream: ResourceName,
    /// How it is spoken to. Default: `http`.
    #[serde(default, skip_serializing_if = "UpstreamScheme::is_http")]
    pub scheme: UpstreamScheme,
    /// How TLS is spoken with scheme `https`. Default: nothing is verified and the
    /// requested host is asked for, as by a location's `proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<UpstreamTls>>,
    /// The path there.
    pub path: RequestTarget,
}

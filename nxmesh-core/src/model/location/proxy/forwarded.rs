//! What the upstream is told about where a request came from.

use serde::{Deserialize, Serialize};

use crate::model::value::Network;

/// Which `X-Forwarded-…` headers and `X-Real-IP` an upstream gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Forwarded {
    /// What becomes of those a client sent. Default: `append`.
    #[serde(default, skip_serializing_if = "ForwardedPolicy::is_append")]
    pub policy: ForwardedPolicy,
    /// The clients `append`, `pass` and `as_sent` are for, at most 1000 networks; for
    /// all others it is `replace`. Default: every client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<Network>,
    /// Send `X-Forwarded-Host` too: the requested host. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host: bool,
    /// Send `X-Forwarded-Port` too: the port of the server. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub port: bool,
}

/// What becomes of the `X-Forwarded-…` headers of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ForwardedPolicy {
    /// The client's address is appended to `X-Forwarded-For`; the rest is said anew.
    #[default]
    Append,
    /// All is said anew: what the client sent is not passed on.
    Replace,
    /// What the client sent is passed on; what it did not send is said.
    Pass,
    /// What the client sent is passed on, and nothing is said beside it.
    AsSent,
    /// None is sent, and nothing the client sent is passed on.
    Remove,
}

impl ForwardedPolicy {
    fn is_append(&self) -> bool {
        *self == Self::Append
    }
}

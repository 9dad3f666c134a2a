//! A named list of networks that are let in or kept out.

use serde::{Deserialize, Serialize};

use super::{Document, value::AccessSource};

/// An access list document.
pub type AccessList = Document<AccessListSpec>;

/// What an access list says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AccessListSpec {
    /// At least one, at most 10000; the first that matches a client's address
    /// decides (nginx: `allow`, `deny`).
    pub rules: Vec<AccessRule>,
}

/// Lets clients in or keeps them out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AccessRule {
    /// Lets in: `{ allow: 10.0.0.0/8 }`.
    Allow(AccessSource),
    /// Keeps out with 403: `{ deny: all }`.
    Deny(AccessSource),
}

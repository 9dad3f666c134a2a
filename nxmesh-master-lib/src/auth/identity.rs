//! Who makes a request.

use nxmesh_core::model::value::UserName;
use serde::{Deserialize, Serialize};

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Everything.
    Admin,
}

/// Who makes a request, proven by an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The name the person logged in with.
    pub(crate) user: UserName,
    /// What the person may do.
    pub(crate) role: Role,
}

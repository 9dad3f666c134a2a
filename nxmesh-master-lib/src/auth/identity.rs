//! Who makes a request.

use nxmesh_core::model::value::UserName;
use serde::{Deserialize, Serialize};

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Everything.
    Admin,
}

/// Who makes a request, proven by an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name the person logged in with.
    pub user: UserName,
    /// What the person may do.
    pub role: Role,
}

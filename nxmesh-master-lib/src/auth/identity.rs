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

impl Role {
    /// What it may do, as `resource:action`; `*` stands for any of either.
    const fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::Admin => &["*:*"],
        }
    }
}

/// Who makes a request, proven by an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The name the person logged in with.
    pub(crate) user: UserName,
    /// What the person may do.
    pub(crate) role: Role,
}

impl Identity {
    /// Whether this person may do `permission`, for example `agent:reload`.
    pub(crate) fn may(&self, permission: &str) -> bool {
        let granted = self.role.permissions();
        granted.iter().any(|granted| covers(granted, permission))
    }
}

/// Whether the grant `granted` holds for `wanted`; both are `resource:action`.
fn covers(granted: &str, wanted: &str) -> bool {
    let (Some(granted), Some(wanted)) = (granted.split_once(':'), wanted.split_once(':')) else {
        return false;
    };
    (granted.0 == "*" || granted.0 == wanted.0) && (granted.1 == "*" || granted.1 == wanted.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_holds_for_what_it_names() {
        for (granted, wanted, holds) in [
            ("*:*", "agent:reload", true),
            ("agent:*", "agent:reload", true),
            ("*:read", "agent:read", true),
            ("agent:reload", "agent:reload", true),
            ("agent:read", "agent:reload", false),
            ("*:read", "agent:reload", false),
            ("config:*", "agent:reload", false),
            ("*", "agent:reload", false),
            ("*:*", "agent", false),
        ] {
            assert_eq!(covers(granted, wanted), holds, "{granted} {wanted}");
        }
    }
}

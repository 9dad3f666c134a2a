//! Why the engine refused.

use nxmesh_core::{contract::storage::StorageError, document::Problem};

/// Why a write or a look-up failed. Nothing was stored, whichever it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The workspace would not be sound; every problem is told, at least one.
    #[error("{}", sentence(.0))]
    Invalid(Vec<Problem>),
    /// Something is not in the state the caller expected. Look again, decide again.
    #[error("{what} is not in the expected state: expected {expected}, found {found}")]
    Conflict {
        /// What was to be changed, for example `VirtualHost/shop`.
        what: String,
        /// The state the caller named.
        expected: String,
        /// The state there is.
        found: String,
    },
    /// There is no such thing.
    #[error("{what} is not there")]
    NotFound {
        /// For example `VirtualHost/shop` or `revision 7`.
        what: String,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(StorageError),
}

fn sentence(problems: &[Problem]) -> String {
    match problems {
        [] => "the change is not valid".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more problems)", rest.len()),
    }
}

impl From<StorageError> for EngineError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Conflict {
                what,
                expected,
                found,
            } => Self::Conflict {
                what,
                expected,
                found,
            },
            other => Self::Storage(other),
        }
    }
}

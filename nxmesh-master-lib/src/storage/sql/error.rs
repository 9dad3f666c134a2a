//! From the library's errors to the contract's.

use nxmesh_core::contract::{BoxError, storage::StorageError};
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// The name of a backend, which its errors carry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backend(pub(super) &'static str);

impl Backend {
    /// `action` failed; whether for damage or for something that passes, the cause tells.
    pub(super) fn failed(self, action: &'static str, error: DbErr) -> StorageError {
        match damage(&error) {
            Some(reason) => self.corrupt("data", reason),
            None => self.unavailable(action, error),
        }
    }

    pub(super) fn unavailable(
        self,
        action: &'static str,
        source: impl Into<BoxError>,
    ) -> StorageError {
        StorageError::Unavailable {
            backend: self.0,
            action,
            source: source.into(),
        }
    }

    pub(super) fn corrupt(self, what: impl Into<String>, reason: impl ToString) -> StorageError {
        StorageError::Corrupt {
            backend: self.0,
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}

/// Why what was read makes no sense; `None` if that is not the error.
pub(super) fn damage(error: &DbErr) -> Option<String> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => driver_damage(error),
        DbErr::Type(reason) | DbErr::Json(reason) => Some(reason.clone()),
        DbErr::TryIntoErr { .. } => Some(error.to_string()),
        _ => None,
    }
}

/// As [`damage`], for errors that come straight from the driver.
pub(super) fn driver_damage(error: &sqlx::Error) -> Option<String> {
    /// SQLite result codes (sqlite.org/rescode.html); the low byte is the class.
    const CORRUPT: i32 = 11;
    const NOT_A_DATABASE: i32 = 26;
    match error {
        sqlx::Error::Database(error) => {
            let code: i32 = error.code()?.parse().ok()?;
            matches!(code & 0xff, CORRUPT | NOT_A_DATABASE).then(|| error.message().to_owned())
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Some(error.to_string()),
        _ => None,
    }
}

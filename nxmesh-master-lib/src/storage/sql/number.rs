//! Unsigned numbers in columns that are signed in every database.

use nxmesh_core::contract::storage::StorageError;

use super::error::Backend;

/// Keeps the order. Numbers from `i64::MAX` on, which no counter or clock
/// reaches, mean "without end" and read back as `u64::MAX`.
pub(super) fn to_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The reverse of [`to_column`]; `what` names the column should it make no sense.
pub(super) fn from_column(
    backend: Backend,
    what: &'static str,
    column: i64,
) -> Result<u64, StorageError> {
    match column {
        i64::MAX => Ok(u64::MAX),
        _ => u64::try_from(column)
            .map_err(|_| backend.corrupt(what, format!("{column} is below zero"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_order() {
        let backend = Backend("sqlite");
        let back = |number| from_column(backend, "time", to_column(number)).unwrap();
        for number in [0, 1, i64::MAX as u64 - 1, u64::MAX] {
            assert_eq!(back(number), number);
        }
        assert!(to_column(5) < to_column(u64::MAX));
        let error = from_column(backend, "time", -1).unwrap_err();
        assert!(error.to_string().contains("-1 is below zero"), "{error}");
    }
}

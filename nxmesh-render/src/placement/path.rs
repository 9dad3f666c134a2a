//! Paths of this machine as words.

use std::path::Path;

use super::PlaceError;
use crate::token::{self, Word};

/// The longest path of a unix socket on Linux, in bytes (`unix(7)`, `sun_path`).
const MAX_SOCKET_BYTES: usize = 107;

fn refused(what: &'static str, path: &Path, reason: impl ToString) -> PlaceError {
    PlaceError::Path {
        what,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn text<'a>(what: &'static str, path: &'a Path) -> Result<&'a str, PlaceError> {
    if !path.is_absolute() {
        return Err(refused(what, path, "it is not absolute"));
    }
    path.to_str()
        .ok_or_else(|| refused(what, path, "it is not UTF-8"))
}

/// An absolute path, taken literally.
pub(super) fn word<'a>(what: &'static str, path: &'a Path) -> Result<Word<'a>, PlaceError> {
    token::quote(text(what, path)?).map_err(|error| refused(what, path, error))
}

/// An absolute path that is included: characters of patterns are refused.
pub(super) fn included(what: &'static str, path: &Path) -> Result<String, PlaceError> {
    if text(what, path)?.contains(['*', '?', '[']) {
        return Err(refused(
            what,
            path,
            "nginx takes an include with '*', '?' or '[' for a pattern",
        ));
    }
    word(what, path).map(|word| word.to_string())
}

/// An absolute path in a directive that would expand variables later than we need it.
pub(super) fn without_variables(what: &'static str, path: &Path) -> Result<(), PlaceError> {
    if text(what, path)?.contains('$') {
        return Err(refused(
            what,
            path,
            "nginx would take '$' for a variable and read the files while it serves",
        ));
    }
    word(what, path).map(|_| ())
}

/// The address of a unix socket as a word.
pub(super) fn socket(what: &'static str, path: &Path) -> Result<String, PlaceError> {
    token::quote(&address(what, path)?)
        .map(|word| word.to_string())
        .map_err(|error| refused(what, path, error))
}

/// The address of a unix socket, unquoted.
pub(super) fn address(what: &'static str, path: &Path) -> Result<String, PlaceError> {
    let name = text(what, path)?;
    if name.len() > MAX_SOCKET_BYTES {
        return Err(refused(
            what,
            path,
            format!("the path of a unix socket is {MAX_SOCKET_BYTES} bytes at most"),
        ));
    }
    Ok(format!("unix:{name}"))
}

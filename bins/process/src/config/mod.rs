//! Settings in layers: flags over environment over a TOML file over defaults.
//!
//! A program declares its settings once, as a struct of `Option` fields that clap fills from flags
//! and environment and serde from a file, and joins the two with [`layered`]. `None` in the result
//! means that nobody said anything: the program puts its default there.
//!
//! What was meant but not understood is an error: an unknown key of the file, and a variable of the
//! environment that misses a known one by a letter or two ([`check_environment`]).

mod environment;
mod file;
mod flags;
mod overlay;
mod secret;
mod suggest;

use std::path::Path;

use serde::de::DeserializeOwned;

pub use environment::{UnknownVariable, check_environment};
pub use file::{ConfigError, load_toml, to_toml};
pub use flags::untold_flags;
pub use overlay::Overlay;
pub use secret::{Secret, SecretError};

/// Puts what flags and environment say over what the file says.
///
/// Without a file the upper layer is returned as it is.
///
/// # Errors
///
/// As [`load_toml`].
pub fn layered<T: Overlay + DeserializeOwned>(
    flags: T,
    file: Option<&Path>,
) -> Result<T, ConfigError> {
    match file {
        Some(path) => Ok(flags.over(load_toml(path)?)),
        None => Ok(flags),
    }
}

//! A value that is used but never shown.

use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// More than any token, password or key in PEM needs.
const SIZE_LIMIT: u64 = 64 * 1024;

/// A secret text: prints as `***`, also where settings are printed, and is wiped when dropped.
///
/// On a clap option of this type set `hide_env_values = true`, or `--help` prints the variable. It
/// cannot be compared, for `==` would tell by its duration how much is right.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Reads a file, or standard input if the path is `-`. The line's end does not count.
    ///
    /// # Errors
    ///
    /// [`SecretError::Read`] if it cannot be read as UTF-8, [`SecretError::Empty`] if nothing is in
    /// it, [`SecretError::TooLarge`] beyond 64 KiB.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        if path == Path::new("-") {
            return Self::read(io::stdin().lock(), path);
        }
        let file = File::open(path).map_err(|source| SecretError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::read(file, path)
    }

    fn read(input: impl Read, path: &Path) -> Result<Self, SecretError> {
        // Reserved at once: a string that grows leaves copies of itself behind.
        let mut text = Zeroizing::new(String::with_capacity(SIZE_LIMIT as usize + 1));
        input
            .take(SIZE_LIMIT + 1)
            .read_to_string(&mut text)
            .map_err(|source| SecretError::Read {
                path: path.to_owned(),
                source,
            })?;
        if text.len() as u64 > SIZE_LIMIT {
            return Err(SecretError::TooLarge {
                path: path.to_owned(),
            });
        }
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(SecretError::Empty {
                path: path.to_owned(),
            }),
            secret => Ok(Self::new(secret.to_owned())),
        }
    }

    /// The secret itself. Do not print it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("could not read the secret at {path}", path = path.display())]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is a file with nothing in it.
    #[error("the secret at {path} is empty", path = path.display())]
    Empty {
        /// Where it should be.
        path: PathBuf,
    },
    /// That cannot be a secret.
    #[error("the secret at {path} is larger than 64 KiB", path = path.display())]
    TooLarge {
        /// Where it should be.
        path: PathBuf,
    },
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// For clap, which reads a secret from the environment.
impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text.to_owned()))
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The deserializer's own words would repeat the value.
        String::deserialize(deserializer)
            .map(Self::new)
            .map_err(|_| D::Error::custom("a secret must be a text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_shown() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "hunter2");
        let error =
            toml::from_str::<std::collections::BTreeMap<String, Secret>>("key = 4711").unwrap_err();
        assert!(!error.message().contains("4711"), "{}", error.message());
    }

    #[test]
    fn a_file_holds_one_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, " correct horse \r\n").unwrap();
        assert_eq!(
            Secret::from_file(&path).unwrap().expose(),
            " correct horse "
        );
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        let path = Path::new("password");
        let empty = Secret::read(&b"\n"[..], path).unwrap_err();
        assert!(matches!(empty, SecretError::Empty { .. }), "{empty}");
        let large = Secret::read(io::repeat(b'x'), path).unwrap_err();
        assert!(matches!(large, SecretError::TooLarge { .. }), "{large}");
        let missing = Secret::from_file(Path::new("/nonexistent/password")).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "could not read the secret at /nonexistent/password"
        );
    }
}

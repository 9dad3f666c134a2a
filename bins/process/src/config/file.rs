//! Settings in a TOML file, and complaints that say where and what.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::suggest;

/// Why a file of settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("could not read the settings at {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A key that no setting has.
    #[error("{at}: unknown key `{key}`, {hint}", hint = Hint { meant, valid })]
    UnknownKey {
        /// Where the key stands.
        at: Position,
        /// The key as written, without the tables around it.
        key: String,
        /// The valid key it resembles.
        meant: Option<String>,
        /// All valid keys at this place.
        valid: Vec<String>,
    },
    /// The file is not TOML, or a value does not fit its key.
    #[error("{at}: {message}")]
    Value {
        /// Where the value stands.
        at: Position,
        /// What is wrong with it.
        message: String,
    },
    /// The settings have no form in TOML.
    #[error("could not print the settings")]
    Print(#[source] toml::ser::Error),
}

/// A place in a file, as `file:line:column`, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub path: PathBuf,
    /// Line and column, if they are known.
    pub line_column: Option<(usize, usize)>,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        match self.line_column {
            Some((line, column)) => write!(formatter, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

struct Hint<'a> {
    meant: &'a Option<String>,
    valid: &'a [String],
}

impl fmt::Display for Hint<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.meant, self.valid) {
            (Some(meant), _) => write!(formatter, "did you mean `{meant}`?"),
            (None, []) => write!(formatter, "nothing can be set here"),
            (None, valid) => write!(formatter, "valid are `{}`", valid.join("`, `")),
        }
    }
}

/// Reads settings from a TOML file.
///
/// `T` should carry `#[serde(deny_unknown_fields, default)]`, as should the structs in it. Values
/// never appear in an error except where serde names one of a wrong type.
///
/// # Errors
///
/// [`ConfigError::Read`], [`ConfigError::UnknownKey`] or [`ConfigError::Value`]; the first mistake
/// of the file is reported.
pub fn load_toml<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|error| explain(path, &text, &error))
}

/// The settings as a TOML file would have them; what is not set is left out.
///
/// # Errors
///
/// [`ConfigError::Print`] if a type among them has no form in TOML.
pub fn to_toml<T: Serialize>(settings: &T) -> Result<String, ConfigError> {
    toml::to_string(settings).map_err(ConfigError::Print)
}

fn explain(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = Position {
        path: path.to_owned(),
        line_column: error.span().and_then(|span| line_column(text, &span)),
    };
    match unknown_key(error.message()) {
        Some((key, valid)) => ConfigError::UnknownKey {
            at,
            meant: suggest::nearest(key, valid.iter().copied()).map(str::to_owned),
            key: key.to_owned(),
            valid: valid.into_iter().map(str::to_owned).collect(),
        },
        None => ConfigError::Value {
            at,
            message: error.message().to_owned(),
        },
    }
}

fn line_column(text: &str, span: &Range<usize>) -> Option<(usize, usize)> {
    let before = text.get(..span.start)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..)?.chars().count() + 1;
    Some((line, column))
}

/// The key and the valid ones from `serde::de::Error::unknown_field`, whose text is
/// ``unknown field `a`, expected one of `b`, `c` ``, with variants for one or none.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once('`')?;
    let valid = rest.split('`').skip(1).step_by(2).collect();
    Some((key, valid))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::config::{Secret, layered};

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        data_dir: Option<PathBuf>,
        database_url: Option<Secret>,
        log: Log,
    }
    crate::overlay!(Settings {
        data_dir,
        database_url,
        log
    });

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Log {
        level: Option<u8>,
    }
    crate::overlay!(Log { level });

    fn load(text: &str) -> Result<Settings, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.toml");
        fs::write(&path, text).unwrap();
        load_toml(&path)
    }

    fn complaint(text: &str) -> String {
        let text = load(text).unwrap_err().to_string();
        text.split_once("master.toml").unwrap().1.to_owned()
    }

    #[test]
    fn an_unknown_key_is_located_and_corrected() {
        assert_eq!(
            complaint("# first\n\n dta_dir = \"/x\"\n"),
            ":3:2: unknown key `dta_dir`, did you mean `data_dir`?"
        );
        assert_eq!(
            complaint("colour = true"),
            ":1:1: unknown key `colour`, valid are `data_dir`, `database_url`, `log`"
        );
        assert_eq!(
            complaint("[log]\nlevle = 1"),
            ":2:1: unknown key `levle`, did you mean `level`?"
        );
    }

    #[test]
    fn a_wrong_value_is_located() {
        let text = complaint("[log]\nlevel = \"loud\"");
        assert!(text.starts_with(":2:9: invalid type: string"), "{text}");
        let text = complaint("[log\n");
        assert!(text.starts_with(":1:5: "), "{text}");
    }

    #[test]
    fn flags_win_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.toml");
        fs::write(&path, "data_dir = \"/file\"\n[log]\nlevel = 1\n").unwrap();
        let flags = Settings {
            data_dir: Some("/flag".into()),
            ..Settings::default()
        };
        let settings = layered(flags, Some(&path)).unwrap();
        assert_eq!(settings.data_dir, Some("/flag".into()));
        assert_eq!(settings.log.level, Some(1));
    }

    #[test]
    fn a_named_file_must_exist() {
        let error = layered(Settings::default(), Some(Path::new("/nonexistent"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not read the settings at /nonexistent"
        );
    }

    #[test]
    fn printing_hides_secrets_and_what_is_not_set() {
        let settings = load("database_url = \"postgres://u:pw@db/x\"").unwrap();
        assert_eq!(
            settings.database_url.as_ref().unwrap().expose(),
            "postgres://u:pw@db/x"
        );
        assert_eq!(
            to_toml(&settings).unwrap(),
            "database_url = \"***\"\n\n[log]\n"
        );
    }
}

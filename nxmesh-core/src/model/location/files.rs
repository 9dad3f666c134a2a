//! Serving files.

use serde::{Deserialize, Serialize};

use super::Proxy;
use crate::model::value::{
    FilePath, FileSuffix, IndexName, LocationPath, StatusCode, Time, ValueError,
};

/// Serving files from the agent's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawStaticFiles", into = "RawStaticFiles")]
pub struct StaticFiles {
    /// Where they lie.
    pub folder: Folder,
    /// Files tried for a folder. Default: nginx's, `index.html` (nginx: `index`).
    pub index: Vec<IndexName>,
    /// What is tried, in order, and what happens if none of it is there.
    /// Default: what the request asks for (nginx: `try_files`).
    pub tries: Option<Box<Tries>>,
    /// List the contents of folders without index (nginx: `autoindex`).
    pub autoindex: bool,
    /// How long clients may keep the files (nginx: `expires`).
    pub expires: Option<Expires>,
}

/// Where files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// The whole request path is looked up in this folder (nginx: `root`).
    Root(FilePath),
    /// What follows the path of the location is looked up there (nginx: `alias`).
    Alias(FilePath),
}

impl Folder {
    /// The folder.
    #[must_use]
    pub const fn path(&self) -> &FilePath {
        match self {
            Self::Root(path) | Self::Alias(path) => path,
        }
    }
}

/// What is tried, and what happens if none of it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tries {
    /// At least one, at most 10.
    pub parts: Vec<TryPart>,
    /// What happens if none is there.
    pub otherwise: Otherwise,
}

/// A file that is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TryPart {
    /// The one the request asks for.
    Uri,
    /// The folder the request asks for.
    Folder,
    /// The one the request asks for, with this behind its name: `{ suffix: .html }`.
    Suffix(FileSuffix),
    /// This one below the folder: `{ path: /fallback.html }`.
    Path(LocationPath),
}

/// What happens if no file is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// This status is answered.
    Status(StatusCode),
    /// It is as if this path of the same host had been requested, with the same
    /// query. It has no `?`.
    Path(LocationPath),
    /// An upstream answers, as with an application behind its files:
    /// `{ proxy: { upstream: shop } }` (nginx: `try_files` with a named location).
    Proxy(Box<Proxy>),
}

/// How long clients may keep what they got (nginx: `expires`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Expires {
    /// Not at all: they ask every time.
    Epoch,
    /// For ten years.
    Max,
    /// So long; sent in whole seconds.
    After(Time),
}

/// Serving files as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStaticFiles {
    /// The folder the request path is looked up in. Exactly one of root and
    /// alias is there (nginx: `root`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<FilePath>,
    /// The folder in which what follows the path of the location is looked up;
    /// both end in '/'. For an exact path it is the file (nginx: `alias`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alias: Option<FilePath>,
    /// Files tried for a folder. Default: nginx's, `index.html` (nginx: `index`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    index: Vec<IndexName>,
    /// What is tried, in order, at most 10. Default: `[uri, folder]` (nginx: `try_files`).
    #[serde(default, rename = "try", skip_serializing_if = "Vec::is_empty")]
    parts: Vec<TryPart>,
    /// What happens if none of it is there. Default: status 404.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    otherwise: Option<Otherwise>,
    /// List the contents of folders without index. Default: false (nginx: `autoindex`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    autoindex: bool,
    /// How long clients may keep the files. Default: nothing is said (nginx: `expires`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Expires>,
}

impl StaticFiles {
    /// What answers where no file is there, if that is an upstream.
    #[must_use]
    pub fn fallback(&self) -> Option<&Proxy> {
        match &self.tries.as_deref()?.otherwise {
            Otherwise::Proxy(proxy) => Some(proxy),
            Otherwise::Status(_) | Otherwise::Path(_) => None,
        }
    }
}

impl TryFrom<RawStaticFiles> for StaticFiles {
    type Error = ValueError;

    fn try_from(raw: RawStaticFiles) -> Result<Self, ValueError> {
        let folder = match (raw.root, raw.alias) {
            (Some(root), None) => Folder::Root(root),
            (None, Some(alias)) => Folder::Alias(alias),
            _ => {
                return Err(ValueError {
                    rule: "static has exactly one of root and alias",
                    example: "{ root: /srv/shop }",
                });
            }
        };
        let tries = match (raw.parts, raw.otherwise) {
            (parts, None) if parts.is_empty() => None,
            (mut parts, otherwise) => {
                if parts.is_empty() {
                    parts = vec![TryPart::Uri, TryPart::Folder];
                }
                let otherwise = otherwise.map_or_else(not_found, Ok)?;
                Some(Box::new(Tries { parts, otherwise }))
            }
        };
        Ok(Self {
            folder,
            index: raw.index,
            tries,
            autoindex: raw.autoindex,
            expires: raw.expires,
        })
    }
}

fn not_found() -> Result<Otherwise, ValueError> {
    StatusCode::new(404).map(Otherwise::Status)
}

impl From<StaticFiles> for RawStaticFiles {
    fn from(files: StaticFiles) -> Self {
        let (root, alias) = match files.folder {
            Folder::Root(path) => (Some(path), None),
            Folder::Alias(path) => (None, Some(path)),
        };
        let (parts, otherwise) = match files.tries {
            Some(tries) => (tries.parts, Some(tries.otherwise)),
            None => (Vec::new(), None),
        };
        Self {
            root,
            alias,
            index: files.index,
            parts,
            otherwise,
            autoindex: files.autoindex,
            expires: files.expires,
        }
    }
}

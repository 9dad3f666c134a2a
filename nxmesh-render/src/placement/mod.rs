//! From a rendered tree to what stands beside it on one machine.
//!
//! A tree does not know where it will lie. [`place`] makes the files that do:
//! `http.conf`, which includes every file of the tree by its absolute path, and
//! with [`PlacementMode::Full`] `main.conf`, the whole configuration, with
//! `globals.conf`, `events.conf` and `stream.conf`. [`entry`]
//! makes the one small file whose atomic replacement switches releases.
//!
//! Includes are never patterns: a file that is missing from a pattern is lost
//! silently, while a missing include is an error of `nginx -t`.

pub(crate) mod back;
mod http;
mod main_conf;
mod media_types;
mod path;
mod text;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use nxmesh_core::contract::renderer::{RenderSettings, RenderedTree};

pub(crate) use self::media_types::TYPES as MEDIA_TYPES;
use crate::names;

/// Where a release lies and how nginx gets to it.
#[derive(Debug, Clone, Copy)]
pub struct Placement<'a> {
    /// The folder that holds the tree; absolute.
    pub release_dir: &'a Path,
    /// What the probe socket answers to `GET /nxmesh/release`.
    pub release_id: &'a str,
    /// A unix socket that nginx listens on for the agent alone; absolute, 107
    /// bytes at most. nginx leaves the socket's file behind when it is killed
    /// and then cannot bind it again, so whoever starts nginx removes it first.
    pub probe_socket: &'a Path,
    /// Who owns `nginx.conf`.
    pub mode: PlacementMode<'a>,
    /// The settings the tree was rendered with.
    pub settings: &'a RenderSettings,
}

/// Who owns `nginx.conf`.
#[derive(Debug, Clone, Copy)]
pub enum PlacementMode<'a> {
    /// The machine's administrator: the entry file is included in their
    /// `http` block, whose settings are left alone.
    Include,
    /// We: the entry file is the file of `nginx -c`.
    Full(&'a FullOptions),
}

/// The settings of a configuration that is ours from the first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullOptions {
    /// The user of the workers. Default: none, which is nginx's built-in one.
    pub user: Option<String>,
    /// How many workers, unless a NginxSettings document says it. Default: none,
    /// which is one per processor.
    pub worker_processes: Option<u16>,
    /// Connections per worker, those to upstreams included, unless a NginxSettings
    /// document says it. Default: 1024.
    pub worker_connections: u32,
    /// Default: `/run/nginx.pid`.
    pub pid_file: PathBuf,
    /// Default: `/var/log/nginx/error.log`.
    pub error_log: PathBuf,
    /// A pattern of files that load modules, for example
    /// `/etc/nginx/modules-enabled/*.conf`. Default: none.
    pub modules_include: Option<PathBuf>,
    /// A file with a `types` block. Default: none, which is a short built-in list.
    pub mime_types: Option<PathBuf>,
    /// An existing folder; nginx makes its temporary folders in it.
    /// Default: `/var/lib/nginx`.
    pub temp_dir: PathBuf,
}

impl Default for FullOptions {
    fn default() -> Self {
        Self {
            user: None,
            worker_processes: None,
            worker_connections: 1024,
            pid_file: PathBuf::from("/run/nginx.pid"),
            error_log: PathBuf::from("/var/log/nginx/error.log"),
            modules_include: None,
            mime_types: None,
            temp_dir: PathBuf::from("/var/lib/nginx"),
        }
    }
}

/// Why a tree cannot be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// nginx cannot be told this path.
    #[error("the {what} {path:?} cannot be written into nginx configuration: {reason}")]
    Path {
        /// What the path is for.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// nginx cannot be told this text.
    #[error("the {what} {text:?} cannot be written into nginx configuration: {reason}")]
    Text {
        /// What the text is for.
        what: &'static str,
        /// The text.
        text: String,
        /// Why not.
        reason: String,
    },
    /// The tree has files that do not belong into the block `http`, and only that is
    /// ours.
    #[error("{file} stands outside of the block http, of an nginx.conf that is not ours")]
    OutsideOfHttp {
        /// The first of them.
        file: String,
    },
    /// A file was read again and is not what it should be: a path or a text
    /// would be more than an argument.
    #[error("line {line}, column {column} of {file} is not what was meant: {reason}")]
    Structure {
        /// The file.
        file: &'static str,
        /// From 1.
        line: u32,
        /// In characters, from 1.
        column: u32,
        /// What differs.
        reason: String,
    },
}

/// Makes the files to be written beside those of `tree`: file name to contents.
///
/// # Errors
///
/// [`PlaceError`] when nginx cannot be told a path, or with
/// [`PlacementMode::Include`] something is not for the block `http`.
pub fn place(
    tree: &RenderedTree,
    placement: &Placement<'_>,
) -> Result<BTreeMap<String, Vec<u8>>, PlaceError> {
    let mut files = BTreeMap::new();
    files.insert(HTTP_CONF.to_owned(), http::contents(tree, placement)?);
    match placement.mode {
        PlacementMode::Full(options) => {
            for (name, contents) in [
                (MAIN_CONF, main(placement, options)?),
                (GLOBALS_CONF, main_conf::globals(tree, placement, options)?),
                (EVENTS_CONF, main_conf::events(tree, placement, options)?),
                (STREAM_CONF, main_conf::stream(tree, placement)?),
            ] {
                files.insert(name.to_owned(), contents);
            }
        }
        PlacementMode::Include => {
            let outside = names::OUTSIDE_OF_HTTP.iter();
            let mut outside = outside.flat_map(|folder| tree.files_under(folder));
            if let Some((file, _)) = outside.next() {
                let file = file.to_owned();
                return Err(PlaceError::OutsideOfHttp { file });
            }
        }
    }
    Ok(files)
}

/// The contents of `main.conf` alone: the whole configuration of an nginx with
/// these options, around the other files that [`place`] makes for the release.
///
/// # Errors
///
/// [`PlaceError`] when nginx cannot be told a path.
pub fn main(placement: &Placement<'_>, options: &FullOptions) -> Result<Vec<u8>, PlaceError> {
    main_conf::contents(placement, options)
}

/// The contents of the entry file: what `nginx.conf` includes in its `http`
/// block, or with [`PlacementMode::Full`] the file of `nginx -c` itself.
///
/// For a release folder that [`place`] refuses, nginx refuses the entry.
#[must_use]
pub fn entry(placement: &Placement<'_>) -> String {
    let name = match placement.mode {
        PlacementMode::Include => HTTP_CONF,
        PlacementMode::Full(_) => MAIN_CONF,
    };
    path::included("release folder", &placement.release_dir.join(name)).map_or_else(
        |_| "nxmesh_release_folder_cannot_be_written;\n".to_owned(),
        |path| format!("include {path};\n"),
    )
}

/// Every name of a file that [`place`] may make.
pub const PLACED_FILES: [&str; 5] = [HTTP_CONF, MAIN_CONF, GLOBALS_CONF, EVENTS_CONF, STREAM_CONF];

/// The address of a unix socket, unquoted; the error says what is wrong with it.
pub(crate) fn socket_address(socket: &Path) -> Result<String, String> {
    path::address("socket", socket).map_err(|error| match error {
        PlaceError::Path { reason, .. } => reason,
        other => other.to_string(),
    })
}

const HTTP_CONF: &str = "http.conf";
const MAIN_CONF: &str = "main.conf";
const GLOBALS_CONF: &str = "globals.conf";
const EVENTS_CONF: &str = "events.conf";
const STREAM_CONF: &str = "stream.conf";

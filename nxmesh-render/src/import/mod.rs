//! From an existing nginx configuration to resources.
//!
//! [`import`] reads a configuration with all its includes. What has a typed
//! field becomes one; what has none becomes a Snippet in its place, if the
//! built-in snippet policy allows it there; and every directive for which that
//! is not so is told in a [`Note`] with its file and line. Nothing is left out
//! silently.
//!
//! The library opens no file: whoever calls it hands it [`Files`].
//!
//! ```
//! use std::{collections::BTreeMap, path::{Path, PathBuf}};
//! use nxmesh_render::import::{Scale, import};
//!
//! let conf = "events {}
//! http {
//!     upstream shop { server 10.0.0.11:8080; }
//!     server {
//!         listen 80;
//!         server_name shop.example.com;
//!         location / { proxy_pass http://shop; }
//!     }
//! }";
//! let files = BTreeMap::from([(PathBuf::from("/etc/nginx/nginx.conf"), conf.as_bytes().to_vec())]);
//! let imported = import(&files, Path::new("/etc/nginx/nginx.conf"), Scale::Include)?;
//! let names: Vec<String> = imported.resources.iter().map(|it| it.key().to_string()).collect();
//! assert_eq!(names, ["VirtualHost/shop.example.com", "Upstream/shop"]);
//! # Ok::<(), nxmesh_render::import::ImportError>(())
//! ```

mod action;
mod client;
mod draft;
mod files;
mod fit;
mod flatten;
mod http;
mod inherit;
mod listen;
mod location;
mod node;
mod process;
mod protect;
mod report;
mod scope;
mod server;
mod settings;
mod sockets;
mod stream;
mod tls;
mod types;
mod upstream;
mod value;
mod zones;

use std::path::{Path, PathBuf};

use nxmesh_core::{
    check::check,
    document::Problem,
    model::{Resource, ResourceSet},
    syntax::SyntaxError,
};

pub use files::{Files, dump, path_matches};
pub use report::{Fate, Note};

/// What a configuration became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The resources, by kind and name. They fit together.
    pub resources: Vec<Resource>,
    /// What did not become a field, in the order of reading.
    pub notes: Vec<Note>,
}

/// Why a configuration cannot be imported at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file that is named without a pattern is not there.
    #[error("{path} is not there or cannot be read")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file is not nginx configuration.
    #[error("{path}: {error}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SyntaxError,
    },
    /// Files include each other without end, or there are too many directives.
    #[error("{path}: includes lie more than {depth} deep, or there are too many directives")]
    TooLarge {
        /// The file that was one too many.
        path: PathBuf,
        /// The bound.
        depth: usize,
    },
    /// The configuration says what cannot stand together, for example one
    /// name and port in two servers.
    #[error("what was imported does not fit together: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Conflicts(Vec<Problem>),
}

/// Whom a configuration is imported for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scale {
    /// Agents that include what they serve in an `nginx.conf` that stays (mode
    /// include): what stands in the block `http` is imported.
    #[default]
    Include,
    /// Agents that own the whole of `nginx.conf` (mode full): its process and its
    /// streams are imported too.
    Full,
}

/// Imports the configuration that begins in the file `entry`.
///
/// The same files give the same resources.
///
/// # Errors
///
/// [`ImportError`] when the configuration cannot be read as a whole.
pub fn import(files: &dyn Files, entry: &Path, scale: Scale) -> Result<Imported, ImportError> {
    let nodes = flatten::flat(node::read(files, entry)?);
    let home = entry.parent().unwrap_or(Path::new("/"));
    let machine = files::Machine { files, home };
    let mut report = report::Report::default();
    let mut certificates = tls::Certificates::default();
    let upstreams = draft::Names::default();
    let mut resources = match scale {
        Scale::Include => {
            process::leave_out(&nodes, &mut report);
            Vec::new()
        }
        Scale::Full => process::import(&nodes, &mut report),
    };
    for node in &nodes {
        let read = match node.name.as_str() {
            "http" => http::import,
            "stream" if scale == Scale::Full => stream::import,
            _ => continue,
        };
        resources.extend(read(
            node,
            &machine,
            &upstreams,
            &mut certificates,
            &mut report,
        ));
    }
    let certificates = certificates.into_drafts();
    resources.extend(certificates.filter_map(|draft| draft.resource()));
    let set: ResourceSet = resources.into_iter().collect();
    let checked = check(set).map_err(ImportError::Conflicts)?;
    Ok(Imported {
        resources: checked
            .resources()
            .iter()
            .map(|(_, resource)| Resource::clone(resource))
            .collect(),
        notes: report.into_notes(),
    })
}

//! Renders NxMesh resources into nginx configuration: resources in, files out.
//!
//! Pure and synchronous: no runtime, no I/O, no environment. The same resources
//! give the same bytes on every machine, so whoever compares digests knows
//! whether nginx has to be reloaded.
//!
//! - [`HandlebarsRenderer`] renders a set of resources into a tree of files, with
//!   one thread or several.
//! - [`placement`] makes the files that depend on where the tree lies.
//! - [`older_forms`] tells what an older nginx is told in a form that does less.
//! - [`diff`](diff::diff) compares two trees.
//! - [`import`] makes resources of an existing configuration.
//! - [`HandlebarsRenderer::templates`] tells what templates can name.
//! - [`token`] is the quoting that everything a tenant wrote goes through.
//!
//! ```
//! use std::path::Path;
//!
//! use nxmesh_core::{check::check, contract::renderer::{Renderer, RenderSettings}, document};
//! use nxmesh_render::{HandlebarsRenderer, placement::{Placement, PlacementMode, entry, place}};
//!
//! let yaml = "
//! kind: VirtualHost
//! metadata: { name: hello }
//! spec:
//!   server_names: [hello.example.com]
//!   locations:
//!     - { path: /, respond: { status: 200, body: 'costs $5; \"really\"' } }
//! ";
//! let parsed = document::parse("hello.yaml", yaml).map_err(|problems| problems[0].clone())?;
//! let resources = parsed.into_iter().map(|parsed| parsed.resource).collect();
//! let checked = check(resources).map_err(|problems| problems[0].clone())?;
//!
//! let settings = RenderSettings::default();
//! let tree = HandlebarsRenderer::new().render(checked.resources(), &settings)?;
//! let (path, file) = tree.files().next().ok_or("one file per virtual host")?;
//! assert!(path.starts_with("virtual-hosts/hello-"));
//! let text = std::str::from_utf8(&file.contents)?;
//! assert!(text.contains(r#"return 200 "costs ${nxmesh_dollar}5; \"really\"";"#));
//!
//! let placement = Placement {
//!     release_dir: Path::new("/var/lib/nxmesh/releases/1"),
//!     release_id: "1",
//!     probe_socket: Path::new("/run/nxmesh/probe.sock"),
//!     mode: PlacementMode::Include,
//!     settings: &settings,
//! };
//! assert!(place(&tree, &placement)?.contains_key("http.conf"));
//! assert_eq!(entry(&placement), "include /var/lib/nxmesh/releases/1/http.conf;\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every file is read again once it is written: each value has to be one word of
//! it, and no value a name, a comment or a brace. What differs from what the
//! templates say is an error, so a mistake in quoting cannot get out.
//!
//! It refuses to print text of a tenant that is not quoted, in comments too;
//! to name files, zones or upstreams after tenants' text; and to leave out what
//! it cannot render: a missing reference or an nginx that is too old is an error.

mod context;
pub mod diff;
mod forms;
mod handlebars;
pub mod import;
mod names;
pub mod placement;
pub mod request_log;
mod structure;
pub mod token;

pub use forms::{OlderForm, older_forms};
pub use handlebars::{HandlebarsRenderer, TemplateField, TemplateRecord, TemplateReference};

/// The code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

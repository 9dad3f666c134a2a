//! The language all parts of NxMesh speak.
//!
//! - [`model`]: resources as plain data whose every value was parsed;
//!   [`document`] reads them from YAML and JSON, [`check`] judges them together.
//! - [`bundle`]: what travels to agents; [`digest`]: what names it.
//! - [`seal`]: signatures of calls and frames; [`wire`]: the messages in them.
//! - [`api`]: the documents of the REST interface.
//! - [`syntax`]: the language of nginx configuration, read as nginx reads it;
//!   [`snippet`]: raw parts of it, and which of them are allowed.
//! - [`contract`]: the seams that others may fill, each with numbered clauses;
//!   [`memory`] fills them for tests, `testkit` proves that the clauses hold.
//!
//! This crate starts no runtime, opens no socket, reads no file and no
//! environment. What it parses is hostile until it is parsed: errors name the
//! field, the rule and an example, and never repeat the value.
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `wire` | the protocol messages and the `Transport` contract | yes |
//! | `memory` | in-memory implementations of the contracts | yes |
//! | `schema` | JSON Schema of the documents | no |
//! | `testkit` | conformance suites and sample models | no |
//!
//! ```
//! use nxmesh_core::{bundle::Slice, check, document, model::{Labels, ResourceSet}};
//!
//! let parsed = document::parse("shop.yaml", r#"
//! kind: VirtualHost
//! metadata: { name: shop }
//! spec:
//!   selector: "env=prod"
//!   server_names: [shop.example.com]
//!   locations: [{ path: /, proxy: { upstream: backend } }]
//! ---
//! kind: Upstream
//! metadata: { name: backend }
//! spec: { servers: [{ address: "10.0.0.11:8080" }] }
//! "#).expect("well-formed documents");
//! let resources: ResourceSet = parsed.into_iter().map(|one| one.resource).collect();
//! let checked = check::check(resources).expect("they fit together");
//!
//! let labels: Labels = [("env".parse()?, "prod".parse()?)].into();
//! assert_eq!(Slice::cut(checked.resources(), &labels).resources().len(), 2);
//! assert!(Slice::cut(checked.resources(), &Labels::new()).resources().is_empty());
//! # Ok::<(), nxmesh_core::model::value::ValueError>(())
//! ```

pub mod api;
pub mod bundle;
pub mod check;
pub mod contract;
pub mod digest;
pub mod document;
#[cfg(feature = "memory")]
pub mod memory;
pub mod model;
#[cfg(feature = "schema")]
pub mod schema;
pub mod seal;
pub mod snippet;
pub mod syntax;
#[cfg(feature = "testkit")]
#[expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed expectation is a failed test"
)]
pub mod testkit;
#[cfg(feature = "wire")]
pub mod wire;

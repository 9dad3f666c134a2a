//! The messages that master and agents exchange, as prost structs.
//!
//! The structs are generated from `nxmesh-core/proto` by `cargo xtask codegen` and committed. They
//! are the shape of the bytes and nothing more: what they hold has not been checked. Map fields are
//! ordered and byte fields share their buffer, so a message always encodes to the same bytes and a
//! large document is not copied per agent.
//!
//! Messages that carry tokens or private keys print those as `***`.

#[allow(
    missing_docs,
    clippy::allow_attributes,
    clippy::all,
    reason = "generated; the protocol files carry the documentation"
)]
#[path = "generated/nxmesh.agent.rs"]
mod generated;
pub mod http;
mod metrics;
mod redacted;

pub use generated::*;

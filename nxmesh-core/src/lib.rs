//! The language all parts of NxMesh speak.
//!
//! Resources and their parsing ([`model`], [`document`], [`check`]), what
//! travels to agents ([`bundle`]), signatures and encryption ([`seal`]) and the
//! seams that others may fill ([`contract`]).
//!
//! This crate starts no runtime, opens no socket and reads no file.
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `wire` | the protocol messages and the `Transport` contract | yes |
//! | `memory` | in-memory implementations of the contracts | yes |
//! | `testkit` | conformance suites, saboteurs and sample models | no |

pub mod api;
pub mod bundle;
pub mod check;
pub mod contract;
pub mod digest;
pub mod document;
#[cfg(feature = "memory")]
pub mod memory;
pub mod model;
pub mod seal;
#[cfg(feature = "testkit")]
#[expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed expectation is a failed test"
)]
pub mod testkit;
#[cfg(feature = "wire")]
pub mod wire;

//! Where the master keeps its state.
//!
//! [`SqlStorage`] implements the [`Storage`](nxmesh_core::contract::storage::Storage)
//! contract on SQLite; [`AtRestKey`] encrypts the secrets in it. The reference
//! implementation without a disk is
//! [`MemoryStorage`](nxmesh_core::memory::MemoryStorage).

mod at_rest;
#[cfg(feature = "sqlite")]
mod sql;

pub use at_rest::{AtRestKey, KeyFileError, SealError};
#[cfg(feature = "sqlite")]
pub use sql::SqlStorage;

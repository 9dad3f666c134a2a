//! Everything the NxMesh master does, minus the process: desired state,
//! distribution to agents, REST and gRPC services.
//!
//! The library installs no global, reads no environment variable, starts no
//! runtime and never exits; the host hands in storage and a
//! [`CancellationToken`](tokio_util::sync::CancellationToken).
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `sqlite` | storage in a SQLite file | yes |
//! | `testkit` | a master for tests | no |

pub mod api;
mod auth;
mod builder;
mod config;
pub mod coordination;
mod data_dir;
pub mod engine;
mod keys;
mod master;
mod observability;
mod server;
pub mod storage;
mod tls;

pub use auth::{PasswordError, TokenError};
pub use builder::{BuildError, InitError, MasterBuilder};
pub use config::MasterConfig;
pub use data_dir::{DataDir, DataDirError};
pub use master::{Addresses, Master, RunError};
pub use tls::TlsError;

#[cfg(feature = "testkit")]
pub mod testkit;

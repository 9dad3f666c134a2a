//! Everything the NxMesh master does, minus the process: desired state,
//! distribution to agents, REST and gRPC services.
//!
//! The library installs no global, reads no environment variable, starts no
//! runtime and never exits; the host hands in storage and a
//! [`CancellationToken`](tokio_util::sync::CancellationToken).
//!
//! ```
//! use std::sync::Arc;
//!
//! use nxmesh_core::memory::MemoryStorage;
//! use nxmesh_master_lib::{DataDir, Master, MasterConfig};
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path();
//! let mut config = MasterConfig::default();
//! config.api_listen = "127.0.0.1:0".parse()?;
//! config.agent_listen = "127.0.0.1:0".parse()?;
//! let master = Master::builder(DataDir::open(path)?)
//!     .config(config)
//!     .storage(Arc::new(MemoryStorage::new()))
//!     .build()
//!     .await?;
//! println!("the API is at {}", master.addresses().api_url);
//!
//! let stop = CancellationToken::new();
//! let running = tokio::spawn(master.run(stop.clone()));
//! // … until the host has had enough:
//! stop.cancel();
//! running.await??;
//! # Ok(())
//! # }
//! ```
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
pub use config::{Keepalive, MasterConfig};
pub use data_dir::{DataDir, DataDirError};
pub use master::{Addresses, Master, RunError};
pub use tls::{TlsError, succession};

#[cfg(feature = "testkit")]
pub mod testkit;

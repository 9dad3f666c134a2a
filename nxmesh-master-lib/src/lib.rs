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
pub mod auth;
pub mod coordination;
mod data_dir;
pub mod engine;
pub mod storage;
mod tls;

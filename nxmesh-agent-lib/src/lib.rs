//! Everything the NxMesh agent does, minus the process: keeps one nginx at the
//! configuration its master wants.

mod agent;
pub mod apply;
mod builder;
pub mod cache;
mod config;
mod controller;
mod enrol;
mod error;
mod exchange;
mod identity;
mod link;
pub mod nginx;
pub mod reload;
mod status;
mod status_socket;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod transport;

pub use agent::Agent;
pub use builder::{AgentBuilder, BuildError};
pub use config::AgentOptions;
pub use controller::ControlOptions;
pub use error::AgentError;
pub use identity::{BootstrapToken, IdentityError};
pub use status::{AgentStatus, ConnectionState, ConnectionStatus, NginxStatus};
pub use status_socket::StatusError;

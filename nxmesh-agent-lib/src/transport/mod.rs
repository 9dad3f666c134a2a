//! How the agent reaches its master and stays connected.

mod aside;
mod auto;
mod backoff;
mod bundle;
mod choice;
mod dial;
mod failover;
mod failure;
mod fencing;
pub mod grpc;
#[cfg(test)]
mod line;
pub(crate) mod logs;
mod masters_clock;
mod measured;
pub(crate) mod message;
mod options;
mod outbox;
mod proxy;
mod reconnect;
mod sealed;
mod session;
#[cfg(test)]
mod tests;
mod trust;
mod update;
mod url;
pub mod websocket;

pub use auto::AutoTransport;
pub use backoff::Backoff;
pub(crate) use backoff::random_fraction;
pub use choice::TransportChoice;
pub use failover::FailoverTransport;
pub(crate) use fencing::{ConnectionSequence, Raised};
pub use options::{Keepalive, MasterOptions, MasterOptionsError};
pub(crate) use outbox::Outbox;
pub use proxy::{InvalidProxy, Proxy};
pub(crate) use reconnect::Connection;
pub use reconnect::ConnectionOptions;
pub use trust::{Trust, TrustError};
pub use url::{InvalidMasterUrl, MasterUrl};

//! How the agent reaches its master and stays connected.

mod backoff;
mod fencing;
pub mod grpc;
pub(crate) mod message;
mod outbox;
mod reconnect;
mod session;
#[cfg(test)]
mod tests;
mod update;

pub use backoff::Backoff;
pub(crate) use fencing::ConnectionSequence;
pub(crate) use outbox::Outbox;
pub(crate) use reconnect::Connection;
pub use reconnect::ConnectionOptions;

//! Ways to move nginx onto a new configuration.

mod diagnostic;
mod error_log;
mod signal;
mod sockets;
mod turnover;

pub use signal::{SignalOptions, SignalReloader};

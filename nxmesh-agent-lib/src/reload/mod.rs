//! Ways to move nginx onto a new configuration.

mod command;
mod diagnostic;
mod error_log;
mod local;
mod proof;
mod signal;
mod sockets;
mod turnover;

pub use command::{CommandOptions, CommandReloader};
pub use local::SignalOptions;
pub use signal::SignalReloader;

//! Ways to move nginx onto a new configuration.

mod command;
mod container;
mod diagnostic;
mod ending;
mod error_log;
mod local;
mod needs;
mod proof;
mod signal;
mod sockets;
mod systemd;
mod turnover;

pub use command::{CommandOptions, CommandReloader};
pub use container::{ContainerOptions, ContainerReloader};
pub use local::SignalOptions;
pub use needs::Unmet;
pub use signal::SignalReloader;
pub use systemd::{SystemdOptions, SystemdReloader, UnitReload};

//! One nginx on this machine: its paths, its version, its processes.

pub(crate) mod command;
mod layout;
pub mod process;
mod version;

pub use layout::Layout;
pub use version::{NginxBuild, VersionError};

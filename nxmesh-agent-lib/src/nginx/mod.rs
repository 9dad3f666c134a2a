//! One nginx on this machine: its paths, its version, its processes.

pub(crate) mod command;
pub(crate) mod enter;
mod layout;
pub(crate) mod namespace;
pub mod process;
pub(crate) mod stub_status;
mod version;

pub use enter::Enter;
pub use layout::Layout;
pub use version::{NginxBuild, VersionError};

//! One nginx on this machine: its paths, its version, its processes.

pub(crate) mod command;
pub(crate) mod enter;
mod instance;
mod layout;
mod master;
pub(crate) mod namespace;
pub(crate) mod process;
pub(crate) mod stub_status;
mod version;

pub use enter::Enter;
pub use instance::Instance;
pub use layout::Layout;
pub use master::Master;
pub use version::{NginxBuild, VersionError};

//! One nginx on this machine: its paths, its version, its processes.

pub mod layout;

pub use layout::Layout;

//! The reloaders and a real nginx.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod command;
mod container;
mod rig;
mod sidecar;
mod signal;
mod stop;
mod systemd;

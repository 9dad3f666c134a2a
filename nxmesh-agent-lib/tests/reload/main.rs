//! The reloaders and a real nginx.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod command;
mod rig;
mod signal;

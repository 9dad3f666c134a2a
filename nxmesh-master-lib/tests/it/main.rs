//! The library against real databases, sockets and files.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "that is how tests fail"
)]

mod engine;
mod fleet;
mod rest;
#[cfg(feature = "sqlite")]
mod storage;

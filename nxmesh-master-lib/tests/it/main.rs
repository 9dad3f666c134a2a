//! The library against real databases, sockets and files.
#![expect(clippy::expect_used, reason = "that is how tests fail")]

#[cfg(feature = "sqlite")]
mod storage;

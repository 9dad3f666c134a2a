//! The seams that others may fill.
//!
//! Each contract has numbered clauses; `testkit` has a test for each of them
//! that every implementation passes, and a saboteur that shows the test bites.

pub mod clock;
pub mod event_bus;
pub mod reloader;
pub mod renderer;
pub mod storage;
#[cfg(feature = "wire")]
pub mod transport;

/// The cause of an error of a backend, whatever its type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

//! Conformance suites, one per contract, and sample models.
//!
//! A suite is a trait `Rig`, which makes what is under test and shows the world
//! around it, and one function per clause of the contract. A macro emits a test
//! for each of them, so that a report names the broken clause:
//!
//! ```
//! # mod it_conforms {
//! use nxmesh_core::{memory::MemoryEventBus, testkit::event_bus::Rig};
//!
//! struct InMemory;
//!
//! #[async_trait::async_trait]
//! impl Rig for InMemory {
//!     type Subject = MemoryEventBus;
//!     async fn start() -> (Self, MemoryEventBus) {
//!         (Self, MemoryEventBus::new())
//!     }
//! }
//!
//! nxmesh_core::event_bus_conformance!(InMemory);
//! # }
//! ```
//!
//! The crate that uses a macro brings `tokio` with its `macros` and `rt`.
//! Functions of this module panic: that is how tests fail.

pub mod event_bus;
pub mod hostile_text;
pub mod patience;
pub mod reloader;
pub mod renderer;
pub mod sample;
pub mod storage;
pub mod transport;

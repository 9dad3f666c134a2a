//! Reference implementations of the contracts, in memory.
//!
//! They keep every clause that can be kept without a disk and a network: what
//! is here is gone with the process. For tests, demonstrations and as the
//! shortest thing to read when writing an implementation of your own.

mod clock;
mod event_bus;
mod storage;
#[cfg(feature = "wire")]
mod transport;

pub use clock::ManualClock;
pub use event_bus::MemoryEventBus;
pub use storage::MemoryStorage;
#[cfg(feature = "wire")]
pub use transport::{
    BundleRequest, Enrolment, Incoming, MasterSession, MemoryMaster, MemoryTransport, Opening,
    Report, Reported, memory_transport,
};

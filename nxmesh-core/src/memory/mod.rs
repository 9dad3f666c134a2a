//! Reference implementations of the contracts, in memory.

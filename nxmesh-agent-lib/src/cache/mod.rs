//! What the agent keeps so that it can serve while its master is away.

mod key;
mod slices;

pub use key::{AtRestKey, KeyError, SealError};
pub(crate) use slices::SliceStore;

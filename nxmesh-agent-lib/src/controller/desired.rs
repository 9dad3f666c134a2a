//! What is to be done, as the master said it last.

use crate::exchange::Offer;

/// What is wanted now.
#[derive(Debug, Clone, Default)]
pub(super) struct Desired {
    /// The newest offer, also when it was dealt with.
    pub(super) offer: Option<Offer>,
    /// Whether a command waits.
    pub(super) command: bool,
    /// Whether other servers fail than are marked down.
    pub(super) marks: bool,
}

//! Hints between the parts of the master.

use std::fmt;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::BoxError;

/// Something that happened. A hint to look, never the truth itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The history reaches at least this revision.
    HeadAtLeast(u64),
}

/// Carries hints to everyone who listens.
///
/// # Contract
///
/// 1. A subscriber gets events published after `subscribe` returned, in the
///    order of publication by one publisher.
/// 2. Every subscriber gets its own copy.
/// 3. Events may be lost or doubled under pressure; a slow subscriber never
///    delays `publish` or other subscribers, and memory stays bounded.
/// 4. After losing events a subscriber still gets later ones.
/// 5. `publish` without subscribers succeeds.
#[async_trait]
pub trait EventBus: fmt::Debug + Send + Sync + 'static {
    /// Stable short name for metric labels and errors, for example `"memory"`.
    fn backend(&self) -> &'static str;

    /// Tells all subscribers.
    ///
    /// # Errors
    ///
    /// [`EventBusError::Unavailable`]: the hint may be lost; readers find the
    /// change by polling.
    async fn publish(&self, event: Event) -> Result<(), EventBusError>;

    /// Listens from now on. The stream ends when the bus is closed.
    ///
    /// # Errors
    ///
    /// [`EventBusError::Unavailable`]: nothing is heard; try again later.
    async fn subscribe(&self) -> Result<BoxStream<'static, Event>, EventBusError>;
}

/// Why a hint could not be passed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventBusError {
    /// The backend cannot be reached.
    #[error("the {backend} event bus could not {action}")]
    Unavailable {
        /// The backend's name.
        backend: &'static str,
        /// What was attempted.
        action: &'static str,
        /// The backend's own error.
        source: BoxError,
    },
}

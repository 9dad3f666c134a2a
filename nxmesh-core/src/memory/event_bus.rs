//! Hints within one process.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use futures_util::stream::{BoxStream, Stream};

use crate::contract::event_bus::{Event, EventBus, EventBusError};

/// An event bus within one process. Clones are the same bus; it closes when
/// the last of them is dropped.
///
/// Every subscriber has room for [`MemoryEventBus::CAPACITY`] events. Of one
/// that reads too slowly the oldest are lost, since the newest tells most.
#[derive(Clone, Default)]
pub struct MemoryEventBus {
    subscribers: Arc<Subscribers>,
}

impl MemoryEventBus {
    /// How many events wait for one subscriber.
    pub const CAPACITY: usize = 256;

    /// A bus without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for MemoryEventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEventBus")
            .field("subscribers", &self.subscribers.living().len())
            .finish()
    }
}

#[async_trait]
impl EventBus for MemoryEventBus {
    fn backend(&self) -> &'static str {
        "memory"
    }

    async fn publish(&self, event: Event) -> Result<(), EventBusError> {
        for mailbox in self.subscribers.living() {
            mailbox.put(event);
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<BoxStream<'static, Event>, EventBusError> {
        Ok(Box::pin(self.subscribers.add()))
    }
}

/// The mailboxes of all subscribers; those of dropped ones go away by the way.
#[derive(Default)]
struct Subscribers(Mutex<Vec<Weak<Mailbox>>>);

impl Subscribers {
    fn add(&self) -> Subscription {
        let mailbox = Arc::new(Mailbox::default());
        let mut mailboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mailboxes.retain(|mailbox| mailbox.strong_count() > 0);
        mailboxes.push(Arc::downgrade(&mailbox));
        Subscription(mailbox)
    }

    /// The lock is not held while subscribers are woken.
    fn living(&self) -> Vec<Arc<Mailbox>> {
        let mailboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mailboxes.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        for mailbox in self.living() {
            mailbox.close();
        }
    }
}

#[derive(Default)]
struct Mailbox(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    closed: bool,
    reader: Option<Waker>,
}

impl Mailbox {
    fn put(&self, event: Event) {
        self.change(|waiting| {
            if waiting.events.len() == MemoryEventBus::CAPACITY {
                waiting.events.pop_front();
            }
            waiting.events.push_back(event);
        });
    }

    fn close(&self) {
        self.change(|waiting| waiting.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut waiting);
        let reader = waiting.reader.take();
        drop(waiting);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// What one subscriber reads.
struct Subscription(Arc<Mailbox>);

impl Stream for Subscription {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut waiting = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if waiting.closed => Poll::Ready(None),
            None => {
                waiting.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

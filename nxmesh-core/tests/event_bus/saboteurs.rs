//! One broken bus per clause; the clause's test has to fail on it.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use async_trait::async_trait;
use futures_channel::mpsc;
use futures_util::{StreamExt as _, stream::BoxStream};
use nxmesh_core::{
    contract::event_bus::{Event, EventBus, EventBusError},
    memory::MemoryEventBus,
    testkit::event_bus::{self as suite, Rig},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Every second event comes before the one it follows.
    Reorders,
    /// The first subscriber to read takes the event away from the others.
    Shares,
    /// Fails once a subscriber has read nothing for long.
    WaitsForTheSlow,
    /// Keeps everything.
    Unbounded,
    /// A subscriber that lost events hears nothing any more.
    CutsOff,
    /// Nobody there is an error.
    NeedsSubscribers,
}

#[derive(Debug)]
struct Sabotaged {
    fault: Fault,
    inner: MemoryEventBus,
    unbounded: Mutex<Vec<mpsc::UnboundedSender<Event>>>,
    published: AtomicU64,
    held: Mutex<Option<Event>>,
}

fn failed() -> EventBusError {
    EventBusError::Unavailable {
        backend: "sabotaged",
        action: "publish",
        source: "someone is slow, or nobody is there".into(),
    }
}

#[async_trait]
impl EventBus for Sabotaged {
    fn backend(&self) -> &'static str {
        "sabotaged"
    }

    async fn publish(&self, event: Event) -> Result<(), EventBusError> {
        let number = self.published.fetch_add(1, SeqCst);
        match self.fault {
            Fault::Reorders if number.is_multiple_of(2) => {
                *self.held.lock().unwrap() = Some(event);
                Ok(())
            }
            Fault::Reorders => {
                self.inner.publish(event).await?;
                let held = self.held.lock().unwrap().take();
                self.inner.publish(held.expect("the one before")).await
            }
            Fault::Shares => {
                let listeners = self.unbounded.lock().unwrap();
                let turn = number as usize % listeners.len().max(1);
                if let Some(listener) = listeners.get(turn) {
                    drop(listener.unbounded_send(event));
                }
                Ok(())
            }
            Fault::Unbounded
            | Fault::CutsOff
            | Fault::NeedsSubscribers
            | Fault::WaitsForTheSlow => {
                let mut listeners = self.unbounded.lock().unwrap();
                listeners.retain(|listener| listener.unbounded_send(event).is_ok());
                match self.fault {
                    Fault::NeedsSubscribers if listeners.is_empty() => Err(failed()),
                    Fault::WaitsForTheSlow if listeners.iter().any(|one| one.len() > 1_000) => {
                        Err(failed())
                    }
                    Fault::CutsOff => {
                        listeners.retain(|listener| listener.len() <= 1_000);
                        Ok(())
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    async fn subscribe(&self) -> Result<BoxStream<'static, Event>, EventBusError> {
        if self.fault == Fault::Reorders {
            return self.inner.subscribe().await;
        }
        let (sender, receiver) = mpsc::unbounded();
        self.unbounded.lock().unwrap().push(sender);
        // A stream that was cut off waits for ever, like a lost connection.
        Ok(receiver.chain(futures_util::stream::pending()).boxed())
    }
}

macro_rules! saboteurs {
    ($($name:ident: $fault:ident fails $clause:ident;)+) => {$(
        #[tokio::test]
        #[should_panic]
        async fn $name() {
            struct Saboteur;

            #[async_trait]
            impl Rig for Saboteur {
                type Subject = Sabotaged;

                async fn start() -> (Self, Sabotaged) {
                    (Self, Sabotaged {
                        fault: Fault::$fault,
                        inner: MemoryEventBus::new(),
                        unbounded: Mutex::default(),
                        published: AtomicU64::new(0),
                        held: Mutex::default(),
                    })
                }
            }

            suite::$clause::<Saboteur>().await;
        }
    )+};
}

saboteurs! {
    one_that_reorders: Reorders fails events_arrive_in_order;
    one_that_shares_out: Shares fails every_subscriber_gets_its_own_copy;
    one_that_waits_for_the_slow: WaitsForTheSlow fails a_slow_subscriber_delays_nobody;
    one_that_keeps_everything: Unbounded fails memory_stays_bounded;
    one_that_cuts_off_the_slow: CutsOff fails later_events_arrive_after_losses;
    one_that_needs_subscribers: NeedsSubscribers fails publishing_without_subscribers_succeeds;
}

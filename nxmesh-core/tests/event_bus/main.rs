//! The event bus contract: the implementation in memory keeps it, and every
//! saboteur is caught.

#[expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed expectation is a failed test"
)]
mod saboteurs;

use async_trait::async_trait;
use nxmesh_core::{
    contract::event_bus::EventBus as _, memory::MemoryEventBus, testkit::event_bus::Rig,
};

struct InMemory;

#[async_trait]
impl Rig for InMemory {
    type Subject = MemoryEventBus;

    async fn start() -> (Self, MemoryEventBus) {
        (Self, MemoryEventBus::new())
    }
}

nxmesh_core::event_bus_conformance!(InMemory);

#[tokio::test]
async fn subscriptions_end_with_the_bus() {
    use futures_util::StreamExt as _;
    use nxmesh_core::contract::event_bus::Event;

    let bus = MemoryEventBus::new();
    let twin = bus.clone();
    let mut events = bus.subscribe().await.unwrap();
    let waiting = tokio::spawn(async move { (events.next().await, events.next().await) });
    drop(bus);
    twin.publish(Event::HeadAtLeast(1)).await.unwrap();
    drop(twin);
    let expected = (Some(Event::HeadAtLeast(1)), None);
    assert_eq!(waiting.await.unwrap(), expected);
}

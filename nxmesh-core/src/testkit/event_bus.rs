//! The conformance suite of [`EventBus`].

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, stream::BoxStream};

use super::patience::{PATIENCE, patiently, within};
use crate::contract::event_bus::{Event, EventBus};

/// Makes event buses to be tested.
#[async_trait]
pub trait Rig: Sized + Send + Sync {
    /// The bus under test.
    type Subject: EventBus;

    /// How many events are more than any subscriber has room for.
    const FLOOD: u64 = 50_000;

    /// Opens a bus that nobody else uses.
    async fn start() -> (Self, Self::Subject);
}

/// Emits one test per clause of the [`EventBus`](crate::contract::event_bus::EventBus)
/// contract for a [`Rig`](crate::testkit::event_bus::Rig).
#[macro_export]
macro_rules! event_bus_conformance {
    ($rig:ty) => {
        $crate::event_bus_conformance! { @each $rig:
            // 1
            events_arrive_in_order,
            // 2
            every_subscriber_gets_its_own_copy,
            // 3
            a_slow_subscriber_delays_nobody,
            memory_stays_bounded,
            // 4
            later_events_arrive_after_losses,
            // 5
            publishing_without_subscribers_succeeds,
        }
    };
    (@each $rig:ty: $($clause:ident,)+) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testkit::event_bus::$clause::<$rig>().await;
            }
        )+
    };
}

type Events = BoxStream<'static, Event>;

async fn start<R: Rig>() -> (R, R::Subject) {
    patiently("opening a bus", R::start()).await
}

async fn subscribe(bus: &impl EventBus) -> Events {
    patiently("subscribing", bus.subscribe())
        .await
        .expect("subscribe")
}

async fn publish(bus: &impl EventBus, revisions: impl IntoIterator<Item = u64>) {
    for revision in revisions {
        patiently("publishing", bus.publish(Event::HeadAtLeast(revision)))
            .await
            .expect("publish");
    }
}

async fn next(events: &mut Events) -> Event {
    patiently("an event", events.next())
        .await
        .expect("the bus is open")
}

async fn expect(events: &mut Events, revisions: impl IntoIterator<Item = u64>) {
    for revision in revisions {
        assert_eq!(next(events).await, Event::HeadAtLeast(revision));
    }
}

/// Clause 1: what is published after `subscribe` returned arrives in order.
/// Twenty events at a time are no pressure.
pub async fn events_arrive_in_order<R: Rig>() {
    let (_rig, bus) = start::<R>().await;
    publish(&bus, [1_000]).await;
    let mut events = subscribe(&bus).await;
    for round in 0..10 {
        let revisions = round * 20..(round + 1) * 20;
        publish(&bus, revisions.clone()).await;
        expect(&mut events, revisions).await;
    }
}

/// Clause 2: reading by one takes nothing away from another.
pub async fn every_subscriber_gets_its_own_copy<R: Rig>() {
    let (_rig, bus) = start::<R>().await;
    let mut subscribers = Vec::new();
    for _ in 0..5 {
        subscribers.push(subscribe(&bus).await);
    }
    publish(&bus, 1..=10).await;
    // One that leaves takes nothing with it.
    drop(subscribers.remove(2));
    publish(&bus, 11..=20).await;
    for events in &mut subscribers {
        expect(events, 1..=20).await;
    }
}

/// Clause 3: one that never reads delays neither `publish` nor one that does.
pub async fn a_slow_subscriber_delays_nobody<R: Rig>() {
    let (_rig, bus) = start::<R>().await;
    let slow = subscribe(&bus).await;
    let mut quick = subscribe(&bus).await;
    for batch in 0..R::FLOOD / 20 {
        let revisions = batch * 20..(batch + 1) * 20;
        publish(&bus, revisions.clone()).await;
        expect(&mut quick, revisions).await;
    }
    drop(slow);
}

/// Clause 3: of a flood nobody reads, a part is kept at most.
pub async fn memory_stays_bounded<R: Rig>() {
    let (_rig, bus) = start::<R>().await;
    let mut events = subscribe(&bus).await;
    publish(&bus, 0..R::FLOOD).await;
    let kept = read_until_news(&bus, &mut events).await;
    assert!(kept < R::FLOOD, "all of {kept} events were kept");
}

/// Clause 4: a subscriber that lost events hears of later ones.
pub async fn later_events_arrive_after_losses<R: Rig>() {
    let (_rig, bus) = start::<R>().await;
    let mut events = subscribe(&bus).await;
    for _ in 0..3 {
        publish(&bus, 0..R::FLOOD).await;
        read_until_news(&bus, &mut events).await;
    }
    // With the pressure gone nothing is lost any more.
    while within(Duration::from_millis(20), events.next())
        .await
        .is_some()
    {}
    publish(&bus, 1..=10).await;
    expect(&mut events, 1..=10).await;
}

/// Reads until an event published from now on arrives; returns how many came before.
async fn read_until_news<B: EventBus>(bus: &B, events: &mut Events) -> u64 {
    const NEWS: u64 = u64::MAX;
    let reading = async {
        let mut before = 0;
        loop {
            publish(bus, [NEWS]).await;
            while let Some(event) = soon(events).await {
                if event == Event::HeadAtLeast(NEWS) {
                    return before;
                }
                before += 1;
            }
        }
    };
    within(PATIENCE / 4, reading)
        .await
        .expect("a later event arrives after losses")
}

async fn soon(events: &mut Events) -> Option<Event> {
    // Without a timer for what is there already.
    if let Some(event) = events.next().now_or_never() {
        return event;
    }
    within(Duration::from_millis(50), events.next())
        .await
        .flatten()
}

/// Clause 5, also after the last subscriber left.
pub async fn publishing_without_subscribers_succeeds<R: Rig>() {
    let (_rig, bus) = start::<R>().await;
    publish(&bus, 0..100).await;
    drop(subscribe(&bus).await);
    publish(&bus, 0..100).await;
    let mut events = subscribe(&bus).await;
    publish(&bus, [7]).await;
    expect(&mut events, [7]).await;
}

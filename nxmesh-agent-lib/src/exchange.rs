//! What the connection and the controller hand each other. Values that are
//! always current, never queues of updates.

use std::sync::Arc;

use nxmesh_core::{
    bundle::Slice,
    wire::{Command, MetricsBatch},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{
    apply::{Target, marks::Failing},
    metrics::Meters,
    status::AgentStatus,
    transport::Outbox,
};

/// A command, and until when it may be begun.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) command: Command,
    /// By this machine's own time, whatever its clock says; `None` for ever.
    pub(crate) until: Option<Instant>,
}

/// Commands that may wait while an apply runs.
const COMMANDS: usize = 8;

/// What the master wants served, as it was offered last. The same version may
/// be offered again; each offer has a higher serial.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) serial: u64,
    pub(crate) target: Arc<Target>,
}

#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) status: watch::Sender<AgentStatus>,
    /// The slice of the newest version taken on: the base of deltas.
    pub(crate) accepted: watch::Sender<Option<Arc<Slice>>>,
    pub(crate) offers: watch::Sender<Option<Offer>>,
    pub(crate) commands: mpsc::Sender<Order>,
    pub(crate) outbox: Outbox,
    pub(crate) meters: Arc<Meters>,
    /// The newest figures for the master; `None` before the first.
    pub(crate) metrics: watch::Sender<Option<Arc<MetricsBatch>>>,
    /// Servers of upstreams that fail their checks.
    pub(crate) failing: watch::Sender<Failing>,
}

impl Exchange {
    /// An exchange, and the controller's end of its commands.
    pub(crate) fn new(status: watch::Sender<AgentStatus>) -> (Arc<Self>, mpsc::Receiver<Order>) {
        let (commands, waiting) = mpsc::channel(COMMANDS);
        let exchange = Self {
            status,
            accepted: watch::Sender::new(None),
            offers: watch::Sender::new(None),
            commands,
            outbox: Outbox::default(),
            meters: Arc::default(),
            metrics: watch::Sender::default(),
            failing: watch::Sender::default(),
        };
        (Arc::new(exchange), waiting)
    }

    /// Offers a target; it takes the place of one that still waits.
    pub(crate) fn offer(&self, target: Target) {
        self.offers
            .send_modify(|offer| *offer = Some(next(offer.as_ref(), target)));
    }

    /// Offers what was taken on before the agent stopped, unless the master has
    /// offered something since.
    pub(crate) fn offer_again(&self, target: Target) {
        self.offers.send_if_modified(|offer| {
            let first = offer.is_none();
            if first {
                *offer = Some(next(None, target));
            }
            first
        });
    }
}

fn next(last: Option<&Offer>, target: Target) -> Offer {
    Offer {
        serial: last.map_or(1, |last| last.serial + 1),
        target: Arc::new(target),
    }
}

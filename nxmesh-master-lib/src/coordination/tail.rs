//! Follows the history.
//!
//! Hints say when to look, a poll looks all the same. Revisions are taken in
//! one after the other; a hole means starting over from a snapshot, and finding
//! nothing new never moves the place reached.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream::BoxStream};
use nxmesh_core::{
    contract::{
        event_bus::Event,
        storage::{ListResources, ListRevisions, StorageError, UnitOfWork},
    },
    model::{Labels, value::WorkspaceName},
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{
    Fleet,
    agent::Agent,
    coalesce::Coalesce,
    desired::{Renewed, Snapshot},
};

/// Revisions read at a time.
const BATCH: u32 = 256;

/// Reads everything there is now.
pub(super) async fn snapshot(unit: &mut dyn UnitOfWork) -> Result<Snapshot, StorageError> {
    let head = unit.revisions().head().await?;
    let mut resources = BTreeMap::new();
    for workspace in unit.resources().workspaces().await? {
        let query = ListResources {
            workspace: workspace.clone(),
            kind: None,
            after: None,
            limit: None,
        };
        resources.insert(workspace, unit.resources().list(&query).await?);
    }
    Ok(Snapshot { head, resources })
}

/// Runs until `stop`.
pub(super) async fn run(fleet: &Fleet, stop: &CancellationToken) {
    let options = fleet.options();
    let mut coalesce = Coalesce::new(options.coalesce_quiet, options.coalesce_most);
    let mut poll = interval(options.poll_interval);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hints = subscribe(fleet).await;
    loop {
        let due = coalesce.due();
        tokio::select! {
            () = stop.cancelled() => return,
            hint = next(&mut hints) => match hint {
                Some(Event::HeadAtLeast(revision)) if revision > fleet.head().revision => {
                    coalesce.hint(Instant::now());
                }
                Some(_) => {}
                None => hints = None,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                // What is announced but not to be seen yet is left to the poll.
                coalesce.clear();
                follow(fleet).await;
            }
            _ = poll.tick() => {
                if hints.is_none() {
                    hints = subscribe(fleet).await;
                }
                // Writes that are being gathered are not torn apart.
                if coalesce.due().is_none() {
                    follow(fleet).await;
                }
            }
        }
    }
}

async fn subscribe(fleet: &Fleet) -> Option<BoxStream<'static, Event>> {
    match fleet.0.bus.subscribe().await {
        Ok(hints) => Some(hints),
        Err(error) => {
            warn!(%error, "no hints of new revisions are heard; polling finds them");
            None
        }
    }
}

/// The next hint; waits for ever without a subscription.
async fn next(hints: &mut Option<BoxStream<'static, Event>>) -> Option<Event> {
    match hints {
        Some(hints) => hints.next().await,
        None => std::future::pending().await,
    }
}

/// Takes in what is new and wakes whom it concerns.
async fn follow(fleet: &Fleet) {
    let mut renewed = Renewed::new();
    let caught_up = catch_up(fleet, &mut renewed).await;
    if let Err(error) = &caught_up {
        warn!(%error, "the history could not be read; trying again");
    }
    // What was taken in before an error is as good as all of it.
    if caught_up.is_ok() || !renewed.is_empty() {
        announce(fleet, &renewed);
    }
}

async fn catch_up(fleet: &Fleet, renewed: &mut Renewed) -> Result<(), StorageError> {
    let mut unit = fleet.0.storage.read().await?;
    loop {
        let reached = fleet.head();
        let query = ListRevisions {
            workspace: None,
            after: reached.revision,
            limit: BATCH,
        };
        let revisions = unit.revisions().list(&query).await?;
        if revisions.is_empty() {
            let head = unit.revisions().head().await?;
            if head == reached {
                return Ok(());
            }
            if head < reached {
                error!(%head, %reached, "the history ends before what was read of it; agents keep what they have until it goes on");
                return Ok(());
            }
        } else if let Some(more) = fleet.desired().advance(&revisions) {
            renewed.extend(more);
            continue;
        }
        warn!(%reached, "the history has a hole; starting over from a snapshot");
        let snapshot = snapshot(&mut *unit).await?;
        renewed.extend(fleet.desired().reload(snapshot));
        return Ok(());
    }
}

fn announce(fleet: &Fleet, renewed: &Renewed) {
    if !renewed.is_empty() {
        let renewed: BTreeSet<(&WorkspaceName, &Labels)> = renewed
            .iter()
            .map(|(name, labels)| (name, labels))
            .collect();
        let registry = fleet.registry();
        let concerned = registry.iter().filter(|agent| {
            let record = &agent.record;
            renewed.contains(&(&record.workspace, &record.labels))
        });
        concerned.for_each(Agent::wake);
        debug!(slices = renewed.len(), "slices renewed");
    }
    fleet.changed();
}

//! Stores what agents told. Memory has the truth; many changes make one write.

use std::time::Duration;

use nxmesh_core::contract::storage::{AgentRecord, StorageError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::Fleet;

/// Changes are gathered this long, so that an offer and what it comes to make
/// one write.
const GATHER: Duration = Duration::from_millis(500);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Records per unit of work, so that writers of revisions need not wait long.
const BATCH: usize = 500;

/// Runs until `stop`, then stores what is left.
pub(super) async fn run(fleet: &Fleet, stop: &CancellationToken) {
    loop {
        let unsaved = async {
            fleet.0.unsaved.notified().await;
            sleep(GATHER).await;
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = unsaved => {}
        }
        if let Err(error) = store(fleet).await {
            warn!(%error, "what agents told could not be stored; trying again");
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(PAUSE) => fleet.0.unsaved.notify_one(),
            }
        }
    }
    if let Err(error) = store(fleet).await {
        error!(%error, "what agents told last was not stored; they tell it again when they reconnect");
    }
}

async fn store(fleet: &Fleet) -> Result<(), StorageError> {
    let _keeping = fleet.0.keeping.lock().await;
    fleet.write_audit().await?;
    let records = fleet.registry().take_unsaved();
    for (number, batch) in records.chunks(BATCH).enumerate() {
        if let Err(error) = put(fleet, batch).await {
            let left = records.iter().skip(number * BATCH);
            let left = left.map(|record| record.id.clone());
            fleet.registry().still_unsaved(left);
            return Err(error);
        }
    }
    Ok(())
}

async fn put(fleet: &Fleet, records: &[AgentRecord]) -> Result<(), StorageError> {
    let mut unit = fleet.0.storage.begin().await?;
    for record in records {
        unit.agents().put(record).await?;
    }
    unit.commit().await
}

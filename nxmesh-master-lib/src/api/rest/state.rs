//! What handlers share.

use std::sync::Arc;

use nxmesh_core::contract::storage::Storage;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{AccessTokens, Logins},
    coordination::Fleet,
    engine::Engine,
    observability::Metrics,
};

/// What handlers share.
#[derive(Debug)]
pub(crate) struct RestState {
    pub(crate) engine: Engine,
    pub(crate) fleet: Fleet,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) logins: Logins,
    pub(crate) tokens: Arc<AccessTokens>,
    pub(crate) metrics: Metrics,
    /// Where agents connect.
    pub(crate) agent_url: String,
    /// What they trust.
    pub(crate) ca_pem: String,
    /// Whether the API itself speaks TLS.
    pub(crate) tls: bool,
    /// Bounds what all texts together cost while they are read.
    pub(crate) reading: Arc<Semaphore>,
    /// Cancelled when the master begins to stop.
    pub(crate) stopping: CancellationToken,
}

/// How many texts are read at once; others wait. One of many megabytes may take
/// a second of a processor and a few hundred megabytes.
pub(crate) const READING_AT_ONCE: usize = 2;

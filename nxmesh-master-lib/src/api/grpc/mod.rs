//! The service that agents speak to.
//!
//! Who calls is proven before anything is looked up in the database: keys are
//! in memory, and what is unsigned, forged or replayed goes no further.

pub(super) mod calls;
mod codec;
mod frame;
mod generated;
mod service;
mod signed;
mod stream;

use std::sync::Arc;

use nxmesh_core::seal::stream::MAX_FRAME_BYTES;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::coordination::Fleet;
use calls::Calls;
use generated::AgentServiceServer;
use service::Service;

/// Serves `fleet` to its agents. `master_ca` is the PEM that enrolled agents
/// trust from then on. Cancelling `stop` ends every session.
///
/// Mount it on a server that speaks HTTP/2 with keep-alive pings (interval
/// 10 s, timeout 20 s): they are what finds half-open connections.
#[must_use]
pub fn routes(fleet: Fleet, master_ca: String, stop: CancellationToken) -> Routes {
    of(Arc::new(Calls::new(fleet, master_ca, stop)))
}

pub(super) fn of(calls: Arc<Calls>) -> Routes {
    let service = AgentServiceServer::new(Service(calls));
    Routes::new(service.max_decoding_message_size(MAX_FRAME_BYTES))
}

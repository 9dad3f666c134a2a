//! The service that agents speak to.
//!
//! Who calls is proven before anything is looked up in the database: keys are
//! in memory, and what is unsigned, forged or replayed goes no further.

mod codec;
mod frame;
mod generated;
mod service;
mod signed;
mod stream;

use nxmesh_core::seal::stream::MAX_FRAME_BYTES;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::coordination::Fleet;
use generated::AgentServiceServer;
use service::Service;

/// Serves `fleet` to its agents. `master_ca` is the PEM that enrolled agents
/// trust from then on. Cancelling `stop` ends every session.
///
/// Mount it on a server that speaks HTTP/2 with keep-alive pings (interval
/// 10 s, timeout 20 s): they are what finds half-open connections.
#[must_use]
pub fn routes(fleet: Fleet, master_ca: String, stop: CancellationToken) -> Routes {
    let service = Service::new(fleet, master_ca, stop);
    Routes::new(AgentServiceServer::new(service).max_decoding_message_size(MAX_FRAME_BYTES))
}

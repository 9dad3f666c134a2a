//! Tells the master by single calls how the agent is, for as long as calls get
//! through and sessions do not: some things on the way break streams off.

use std::{convert::Infallible, sync::Arc, time::Duration};

use nxmesh_core::{contract::transport::TransportError, wire::MetricsBatch};
use tokio::{sync::watch, time::sleep};
use tracing::{debug, info};

use super::{Connection, backoff::random_fraction, message};
use crate::status::{AgentStatus, ConnectionState};

/// The longest pause between calls that fail.
const MOST_PAUSE: Duration = Duration::from_secs(600);

/// Tells again and again while there is no session; each report is tried once.
pub(super) async fn tell(connection: &Connection) -> Infallible {
    let mut status = connection.exchange.status.subscribe();
    loop {
        reached(&mut status, false).await;
        tokio::select! {
            () = reached(&mut status, true) => continue,
            () = sleep(connection.options.calls_after) => {}
        }
        let mut reports = Reports::default();
        tokio::select! {
            () = reached(&mut status, true) => {}
            never = reports.tell(connection) => match never {},
        }
    }
}

/// Waits until there is a session, or none.
async fn reached(status: &mut watch::Receiver<AgentStatus>, session: bool) {
    let reached = status.wait_for(|it| {
        let ready = it.connection.state == ConnectionState::Ready;
        ready == session
    });
    if reached.await.is_err() {
        // The agent is at its end, and this future about to be dropped.
        std::future::pending::<()>().await;
    }
}

/// The reports of a time without a session.
#[derive(Debug, Default)]
struct Reports {
    /// Times in a row that the master did not take one.
    failures: u32,
    told: bool,
    /// The figures that were told last.
    figures: Option<Arc<MetricsBatch>>,
}

impl Reports {
    async fn tell(&mut self, connection: &Connection) -> Infallible {
        loop {
            match self.tell_once(connection).await {
                Ok(()) => {
                    self.failures = 0;
                    if !std::mem::replace(&mut self.told, true) {
                        info!("no session lasts; the master is told by single calls meanwhile");
                    }
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    debug!(%error, reason, "the master took no report");
                }
            }
            sleep(self.pause(connection.options.heartbeat)).await;
        }
    }

    async fn tell_once(&mut self, connection: &Connection) -> Result<(), TransportError> {
        let (transport, keys) = (&connection.transport, &connection.keys);
        let health = {
            let status = connection.exchange.status.borrow();
            message::health(&status, connection.started.elapsed())
        };
        keys.using(|credentials| {
            let health = health.clone();
            async move { transport.report_health(&credentials, health).await }
        })
        .await?;
        let newest = connection.exchange.metrics.borrow().clone();
        let Some(newest) = newest else { return Ok(()) };
        if self.figures.as_ref().is_some_and(|it| it.at == newest.at) {
            return Ok(());
        }
        keys.using(|credentials| {
            let batch = MetricsBatch::clone(&newest);
            async move { transport.report_metrics(&credentials, batch).await }
        })
        .await?;
        self.figures = Some(newest);
        Ok(())
    }

    /// A heartbeat, 10 % more or less; up to ten minutes while nobody takes reports.
    fn pause(&self, heartbeat: Duration) -> Duration {
        let longest = MOST_PAUSE.max(heartbeat);
        heartbeat
            .saturating_mul(1 << self.failures.min(16))
            .min(longest)
            .mul_f64(0.9 + 0.2 * random_fraction())
    }
}

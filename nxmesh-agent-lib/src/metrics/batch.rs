//! Figures for the master.

use std::{sync::Arc, time::Duration};

use nxmesh_core::{model::AgentMetrics, wire::MetricsBatch};
use tokio::time::sleep;

use super::{
    Metrics,
    sample::{Family, Value},
};
use crate::{exchange::Exchange, transport::random_fraction};

/// Shortest time between two batches.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// Puts the newest figures where the connection to the master finds them, again
/// and again until dropped.
pub(super) async fn keep(metrics: Arc<Metrics>, every: Duration, exchange: Arc<Exchange>) {
    loop {
        let figures = figures(&metrics.families().await, metrics.counts_requests);
        let batch = MetricsBatch::of(&figures, metrics.clock.unix_millis());
        exchange.metrics.send_replace(Some(Arc::new(batch)));
        // Not in step with the rest of the fleet.
        let varied = every.mul_f64(0.9 + 0.2 * random_fraction());
        sleep(varied.max(LEAST_INTERVAL)).await;
    }
}

/// What a master keeps of the list. Histograms it does not.
fn figures(families: &[Family], counts_requests: bool) -> AgentMetrics {
    let mut figures = AgentMetrics::default();
    if counts_requests {
        // A class of which there was none yet is counted all the same.
        figures.begin("nxmesh_nginx_responses_total");
        figures.begin("nxmesh_nginx_response_bytes_total");
    }
    for family in families {
        for sample in &family.samples {
            let Value::Number(value) = sample.value else {
                continue;
            };
            let label = |name: &str| {
                let label = sample.labels.iter().find(|label| label.0 == name);
                label.map(|(_, value)| &**value)
            };
            figures.add(family.name, label, value);
        }
    }
    figures
}

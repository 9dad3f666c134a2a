//! What agents count, as sums: a fixed number of series, however many agents there
//! are. Those of one agent it tells Prometheus itself.

use nxmesh_core::model::{FIGURES, Figure};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::gauge;
use crate::coordination::FleetMetrics;

/// The sums of all figures.
#[derive(Debug)]
pub(super) struct FleetSums {
    agents: IntGauge,
    series: Vec<(&'static Figure, Series)>,
}

#[derive(Debug)]
enum Series {
    Counter(IntCounter),
    Gauge(IntGauge),
}

impl FleetSums {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let agents = IntGauge::new(
            "nxmesh_master_fleet_agents",
            "Agents whose figures of the last five minutes are in the gauges of the fleet.",
        )?;
        registry.register(Box::new(agents.clone()))?;
        let mut series = Vec::new();
        for metric in FIGURES.chunk_by(|a, b| a.metric == b.metric) {
            let Some(first) = metric.first() else {
                continue;
            };
            let labels: Vec<&str> = first.label.iter().map(|label| label.0).collect();
            let options = Opts::new(name(first), help(first));
            if first.is_counter {
                let counters = IntCounterVec::new(options, &labels)?;
                registry.register(Box::new(counters.clone()))?;
                series.extend(metric.iter().map(|figure| {
                    let counter = counters.with_label_values(&values(figure));
                    (figure, Series::Counter(counter))
                }));
            } else {
                let gauges = IntGaugeVec::new(options, &labels)?;
                registry.register(Box::new(gauges.clone()))?;
                series.extend(metric.iter().map(|figure| {
                    let gauge = gauges.with_label_values(&values(figure));
                    (figure, Series::Gauge(gauge))
                }));
            }
        }
        Ok(Self { agents, series })
    }

    /// Brings all up to date; one caller at a time.
    pub(super) fn set(&self, sums: &FleetMetrics) {
        self.agents.set(gauge(sums.agents));
        for (figure, series) in &self.series {
            let sum = figure.of(&sums.figures).unwrap_or_default();
            match series {
                Series::Counter(counter) => counter.inc_by(sum.saturating_sub(counter.get())),
                Series::Gauge(of) => of.set(gauge(sum)),
            }
        }
    }
}

/// `nxmesh_nginx_requests_total` becomes `nxmesh_master_fleet_requests_total`.
fn name(figure: &Figure) -> String {
    let metric = figure.metric;
    let plain = ["nxmesh_agent_", "nxmesh_nginx_"]
        .iter()
        .find_map(|prefix| metric.strip_prefix(prefix));
    format!("nxmesh_master_fleet_{}", plain.unwrap_or(metric))
}

fn help(figure: &Figure) -> String {
    let metric = figure.metric;
    match figure.is_counter {
        true => format!("What all agents added to {metric} since this master started."),
        false => format!("The sum of {metric} of all agents."),
    }
}

fn values(figure: &Figure) -> Vec<&'static str> {
    figure.label.iter().map(|label| label.1).collect()
}

#[cfg(test)]
mod tests {
    use nxmesh_core::model::AgentMetrics;
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn there_is_one_series_for_each_figure() {
        let registry = Registry::new();
        let sums = FleetSums::new(&registry).unwrap();
        let told = |requests, workers| FleetMetrics {
            agents: 2,
            figures: AgentMetrics {
                requests: Some(requests),
                workers: Some(workers),
                ..AgentMetrics::default()
            },
        };
        for (requests, workers) in [(10, 4), (15, 3)] {
            sums.set(&told(requests, workers));
            let text = TextEncoder::new()
                .encode_to_string(&registry.gather())
                .unwrap();
            let lines: Vec<&str> = text.lines().filter(|it| !it.starts_with('#')).collect();
            assert_eq!(lines.len(), FIGURES.len() + 1, "{text}");
            for line in [
                format!("nxmesh_master_fleet_requests_total {requests}"),
                format!("nxmesh_master_fleet_workers {workers}"),
                "nxmesh_master_fleet_responses_total{class=\"5xx\"} 0".to_owned(),
                "nxmesh_master_fleet_nginx_reloads_total{result=\"failed\"} 0".to_owned(),
            ] {
                assert!(lines.contains(&line.as_str()), "{line}: {text}");
            }
        }
    }
}

//! Figures of agents on the wire.

use super::{MetricSample, MetricsBatch};
use crate::model::{AgentMetrics, FIGURES};

/// What is read of a batch; agents tell no more.
const SAMPLES: usize = 256;

impl MetricsBatch {
    /// The batch that tells `metrics`, which were taken `at` (Unix milliseconds).
    #[must_use]
    pub fn of(metrics: &AgentMetrics, at: u64) -> Self {
        let samples = FIGURES.iter().filter_map(|figure| {
            let labels = figure.label.into_iter();
            Some(MetricSample {
                name: figure.metric.to_owned(),
                labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
                value: figure.of(metrics)? as f64,
            })
        });
        Self {
            samples: samples.collect(),
            at,
        }
    }

    /// The figures it tells; of what is none of them nothing is kept.
    #[must_use]
    pub fn figures(&self) -> AgentMetrics {
        let mut metrics = AgentMetrics::default();
        for sample in self.samples.iter().take(SAMPLES) {
            let label = |name: &str| sample.labels.get(name).map(String::as_str);
            metrics.add(&sample.name, label, sample.value);
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn figures_come_back_and_a_batch_is_small() {
        let mut metrics = AgentMetrics::default();
        for (index, figure) in FIGURES.iter().enumerate() {
            let label = |name: &str| {
                let label = figure.label.filter(|label| label.0 == name);
                label.map(|(_, value)| value)
            };
            metrics.add(figure.metric, label, index as f64);
        }
        let batch = MetricsBatch::of(&metrics, 7);
        assert_eq!(batch.samples.len(), FIGURES.len());
        assert!(batch.encoded_len() < 2048, "{}", batch.encoded_len());
        let decoded = MetricsBatch::decode(&*batch.encode_to_vec()).unwrap();
        assert_eq!((decoded.figures(), decoded.at), (metrics, 7));
        assert_eq!(MetricsBatch::default().figures(), AgentMetrics::default());
    }

    #[test]
    fn a_hostile_batch_costs_little() {
        let sample = MetricSample {
            name: "nxmesh_nginx_workers".to_owned(),
            value: 1.0,
            ..MetricSample::default()
        };
        let batch = MetricsBatch {
            samples: vec![sample; 5000],
            at: 0,
        };
        assert_eq!(batch.figures().workers, Some(SAMPLES as u64));
    }
}

//! What an agent counts, as much of it as its master keeps.

use serde::{Deserialize, Serialize};

/// One of the numbers of [`AgentMetrics`], and what it is called among the metrics
/// that agents tell Prometheus.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// The name of the metric, for example `nxmesh_nginx_responses_total`.
    pub metric: &'static str,
    /// The label that tells it from other figures of the metric. Other labels a
    /// metric has are summed over.
    pub label: Option<(&'static str, &'static str)>,
    /// Whether it only rises, but for a start anew.
    pub is_counter: bool,
    read: fn(&AgentMetrics) -> Option<u64>,
    write: fn(&mut AgentMetrics) -> &mut Option<u64>,
}

macro_rules! is_counter {
    (counter) => {
        true
    };
    (gauge) => {
        false
    };
}

macro_rules! label {
    () => {
        None
    };
    ($label:literal $value:literal) => {
        Some(($label, $value))
    };
}

macro_rules! figures {
    ($($(#[$doc:meta])* $field:ident: $kind:ident $metric:literal $({$label:literal: $value:literal})?;)+) => {
        /// Figures of one agent; those it cannot tell are absent. Counters begin at
        /// the start of the agent or, where nginx counts, of nginx.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct AgentMetrics {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<u64>,)+
        }

        /// All that there are, those of a metric side by side.
        pub static FIGURES: &[Figure] = &[$(Figure {
            metric: $metric,
            label: label!($($label $value)?),
            is_counter: is_counter!($kind),
            read: |metrics| metrics.$field,
            write: |metrics| &mut metrics.$field,
        }),+];
    };
}

figures! {
    /// Workers that accept connections.
    workers: gauge "nxmesh_nginx_workers";
    /// Workers of older generations that finish their last requests.
    draining_workers: gauge "nxmesh_nginx_draining_workers";
    /// Connections of clients that send a request.
    connections_reading: gauge "nxmesh_nginx_connections" {"state": "reading"};
    /// Connections of clients that wait for a response, or get one.
    connections_writing: gauge "nxmesh_nginx_connections" {"state": "writing"};
    /// Idle connections of clients.
    connections_waiting: gauge "nxmesh_nginx_connections" {"state": "waiting"};
    /// Connections of clients that were accepted.
    connections_accepted: counter "nxmesh_nginx_connections_accepted_total";
    /// Accepted connections for which there was room.
    connections_handled: counter "nxmesh_nginx_connections_handled_total";
    /// Requests, those of the agent included.
    requests: counter "nxmesh_nginx_requests_total";
    /// Responses of a class; absent where the agent does not count requests.
    responses_1xx: counter "nxmesh_nginx_responses_total" {"class": "1xx"};
    /// As above.
    responses_2xx: counter "nxmesh_nginx_responses_total" {"class": "2xx"};
    /// As above.
    responses_3xx: counter "nxmesh_nginx_responses_total" {"class": "3xx"};
    /// As above.
    responses_4xx: counter "nxmesh_nginx_responses_total" {"class": "4xx"};
    /// As above.
    responses_5xx: counter "nxmesh_nginx_responses_total" {"class": "5xx"};
    /// Bytes of responses with their headers.
    response_bytes: counter "nxmesh_nginx_response_bytes_total";
    /// Versions that were applied with a reload.
    applies_applied: counter "nxmesh_agent_applies_total" {"outcome": "applied"};
    /// Versions that changed no byte of nginx's files.
    applies_unchanged: counter "nxmesh_agent_applies_total" {"outcome": "unchanged"};
    /// Versions that were refused before the switch.
    applies_rejected: counter "nxmesh_agent_applies_total" {"outcome": "rejected"};
    /// Versions that failed after the switch.
    applies_rolled_back: counter "nxmesh_agent_applies_total" {"outcome": "rolled_back"};
    /// Versions of which some resources were held back.
    applies_held_back: counter "nxmesh_agent_applies_total" {"outcome": "held_back"};
    /// Reloads after which a complete new generation was seen.
    reloads_confirmed: counter "nxmesh_agent_nginx_reloads_total" {"result": "confirmed"};
    /// Other reloads.
    reloads_failed: counter "nxmesh_agent_nginx_reloads_total" {"result": "failed"};
    /// How often the agent started nginx.
    starts: counter "nxmesh_agent_nginx_starts_total";
    /// How often nginx was lost or hung and was brought back.
    restarts: counter "nxmesh_agent_nginx_restarts_total";
}

impl Figure {
    /// This one of `metrics`.
    #[must_use]
    pub fn of(&self, metrics: &AgentMetrics) -> Option<u64> {
        (self.read)(metrics)
    }

    /// Whether it is that of `metric` with these labels.
    fn is<'a>(&self, metric: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let labelled = |(name, value): (&str, &str)| label(name) == Some(value);
        self.metric == metric && self.label.is_none_or(labelled)
    }
}

impl AgentMetrics {
    /// Adds a value of the metric called `metric`, whose labels `label` tells by
    /// their names; what is no figure is left out, and a value that is no natural
    /// number taken for the nearest.
    pub fn add<'a>(&mut self, metric: &str, label: impl Fn(&str) -> Option<&'a str>, value: f64) {
        let Some(figure) = FIGURES.iter().find(|it| it.is(metric, &label)) else {
            return;
        };
        let sum = (figure.write)(self);
        // Conversion saturates, and takes what is no number for 0.
        *sum = Some(sum.unwrap_or_default().saturating_add(value as u64));
    }

    /// Has all figures of the metric called `metric` be 0 that are absent.
    pub fn begin(&mut self, metric: &str) {
        for figure in FIGURES.iter().filter(|it| it.metric == metric) {
            (figure.write)(self).get_or_insert(0);
        }
    }

    /// What was added to counters since `earlier`. Whoever counts may have begun anew.
    #[must_use]
    pub fn added_since(&self, earlier: &Self) -> Self {
        let mut added = Self::default();
        for figure in FIGURES.iter().filter(|it| it.is_counter) {
            if let (Some(now), Some(before)) = (figure.of(self), figure.of(earlier)) {
                let more = now.checked_sub(before).unwrap_or(now);
                *(figure.write)(&mut added) = Some(more);
            }
        }
        added
    }

    /// Adds counters or gauges of `other`, or both.
    pub fn absorb(&mut self, other: &Self, which: impl Fn(&Figure) -> bool) {
        for figure in FIGURES.iter().filter(|it| which(it)) {
            if let Some(more) = figure.of(other) {
                let sum = (figure.write)(self);
                *sum = Some(sum.unwrap_or_default().saturating_add(more));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(name: &'static str, value: &'static str) -> impl Fn(&str) -> Option<&'static str> {
        move |asked| (asked == name).then_some(value)
    }

    #[test]
    fn values_are_summed_by_the_label_that_counts() {
        let mut metrics = AgentMetrics::default();
        let responses = "nxmesh_nginx_responses_total";
        metrics.add(responses, labelled("class", "2xx"), 3.0);
        metrics.add(responses, labelled("class", "2xx"), 4.0);
        metrics.add(responses, labelled("class", "5xx"), 1.0);
        metrics.add(responses, labelled("class", "9xx"), 1.0);
        metrics.add(responses, |_| None, 1.0);
        metrics.add("nxmesh_something", |_| None, 1.0);
        metrics.add("nxmesh_nginx_workers", labelled("pool", "a"), 2.0);
        let expected = AgentMetrics {
            responses_2xx: Some(7),
            responses_5xx: Some(1),
            workers: Some(2),
            ..AgentMetrics::default()
        };
        assert_eq!(metrics, expected);
    }

    #[test]
    fn hostile_values_are_numbers_all_the_same() {
        for (value, taken) in [
            (f64::NAN, 0),
            (-5.0, 0),
            (f64::INFINITY, u64::MAX),
            (1e300, u64::MAX),
            (2.9, 2),
        ] {
            let mut metrics = AgentMetrics::default();
            for _ in 0..2 {
                metrics.add("nxmesh_nginx_requests_total", |_| None, value);
            }
            assert_eq!(metrics.requests, Some(taken.saturating_mul(2)), "{value}");
        }
    }

    #[test]
    fn what_was_added_survives_a_start_anew() {
        let told = |requests, workers| AgentMetrics {
            requests: Some(requests),
            workers: Some(workers),
            ..AgentMetrics::default()
        };
        let added = |now: AgentMetrics, before: AgentMetrics| now.added_since(&before);
        assert_eq!(added(told(9, 2), told(4, 8)).requests, Some(5));
        assert_eq!(added(told(3, 2), told(4, 8)).requests, Some(3));
        assert_eq!(added(told(9, 2), told(4, 8)).workers, None);
        assert_eq!(added(told(9, 2), AgentMetrics::default()).requests, None);
        let mut sum = told(1, 1);
        sum.absorb(&told(2, 5), |figure| !figure.is_counter);
        assert_eq!(sum, told(1, 6));
    }
}

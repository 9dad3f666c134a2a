//! What agents count: of each the newest figures, of all together sums.

use nxmesh_core::{
    api::MetricsView,
    model::{AgentId, AgentMetrics},
    wire::MetricsBatch,
};

use super::{Fleet, registry::Registry};

/// Figures that are older are no longer those of now.
const FRESH_MILLIS: u64 = 5 * 60 * 1000;

/// The newest figures of an agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) view: MetricsView,
    /// When the agent took them, in Unix milliseconds on its clock.
    taken_at: u64,
}

/// Figures of all agents together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetMetrics {
    /// The agents whose figures are not older than five minutes.
    pub agents: u64,
    /// Gauges are sums over these agents. Counters hold what agents told was added
    /// since this master started; what an agent counted before its first telling is
    /// not in them.
    pub figures: AgentMetrics,
}

impl Counted {
    /// The figures of `batch`, told at `now`, and what was added to counters since
    /// those `before`. `None` if they are the same ones again.
    fn next(before: Option<&Self>, batch: &MetricsBatch, now: u64) -> Option<(Self, AgentMetrics)> {
        let (figures, taken_at) = (batch.figures(), batch.at);
        let mut view = MetricsView {
            at: now,
            requests_per_minute: None,
            figures,
        };
        let mut added = AgentMetrics::default();
        if let Some(before) = before {
            if before.taken_at == taken_at {
                return None;
            }
            added = figures.added_since(&before.view.figures);
            // Its clock may have been set back.
            let span = taken_at.checked_sub(before.taken_at);
            view.requests_per_minute = added.requests.zip(span).map(|(requests, span)| {
                let per_minute = u128::from(requests) * 60_000 / u128::from(span);
                u64::try_from(per_minute).unwrap_or(u64::MAX)
            });
        }
        Some((Self { view, taken_at }, added))
    }
}

impl Registry {
    /// Takes figures in; those of an agent that is not known are nobody's.
    fn counted(&mut self, id: &AgentId, batch: &MetricsBatch, now: u64) {
        let Some(agent) = self.get_mut(id) else {
            return;
        };
        agent.record.last_seen_at = now;
        if let Some((counted, added)) = Counted::next(agent.counted.as_deref(), batch, now) {
            agent.counted = Some(Box::new(counted));
            self.added.absorb(&added, |figure| figure.is_counter);
        }
    }

    fn sums(&self, now: u64) -> FleetMetrics {
        let mut sums = FleetMetrics {
            agents: 0,
            figures: self.added,
        };
        let counted = self.iter().filter_map(|agent| agent.counted.as_deref());
        for Counted { view, .. } in counted {
            if view.at.saturating_add(FRESH_MILLIS) >= now {
                sums.agents += 1;
                sums.figures.absorb(&view.figures, |it| !it.is_counter);
            }
        }
        sums
    }
}

impl Fleet {
    /// Takes in what an agent counts. Nothing of it is stored.
    pub(crate) fn report_metrics(&self, id: &AgentId, batch: &MetricsBatch) {
        let now = self.clock().unix_millis();
        self.registry().counted(id, batch, now);
    }

    /// What all agents count together.
    #[must_use]
    pub fn metrics(&self) -> FleetMetrics {
        let now = self.clock().unix_millis();
        self.registry().sums(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(requests: u64, workers: u64, at: u64) -> MetricsBatch {
        let figures = AgentMetrics {
            requests: Some(requests),
            workers: Some(workers),
            ..AgentMetrics::default()
        };
        MetricsBatch::of(&figures, at)
    }

    #[test]
    fn what_ten_thousand_agents_cost_is_little() {
        assert!(size_of::<Counted>() <= 512, "{}", size_of::<Counted>());
    }

    #[test]
    fn a_rate_needs_two_tellings_and_a_clock_that_goes_on() {
        let told = |before: Option<&Counted>, requests, at| {
            Counted::next(before, &batch(requests, 1, at), 1)
        };
        let (first, added) = told(None, 1000, 60_000).unwrap();
        assert_eq!(first.view.requests_per_minute, None);
        assert_eq!(added, AgentMetrics::default());
        assert!(told(Some(&first), 1000, 60_000).is_none(), "told again");
        let (second, added) = told(Some(&first), 1030, 120_000).unwrap();
        assert_eq!(second.view.requests_per_minute, Some(30));
        assert_eq!(added.requests, Some(30));
        // nginx was started anew.
        let (third, added) = told(Some(&second), 10, 150_000).unwrap();
        assert_eq!(third.view.requests_per_minute, Some(20));
        assert_eq!(added.requests, Some(10));
        let (fourth, added) = told(Some(&third), 25, 100_000).unwrap();
        assert_eq!(fourth.view.requests_per_minute, None, "set back");
        assert_eq!(added.requests, Some(15));
        let (fifth, _) = told(Some(&fourth), u64::MAX, 100_001).unwrap();
        assert_eq!(fifth.view.requests_per_minute, Some(u64::MAX));
    }
}

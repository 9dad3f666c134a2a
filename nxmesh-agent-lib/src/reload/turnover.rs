//! When one generation of workers has taken over from another.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use nxmesh_core::contract::reloader::Generation;

/// How long new workers have to live. nginx notices at about 100 ms that one
/// died while it started.
const SETTLED: Duration = Duration::from_millis(150);

/// Watches one generation go and another come.
#[derive(Debug)]
pub(super) struct Turnover {
    old: BTreeSet<u32>,
    new: BTreeSet<u32>,
    since: Option<Instant>,
}

impl Turnover {
    /// Starts from the workers there are before the reload.
    pub(super) fn from(before: &Generation) -> Self {
        Self {
            old: before.workers.clone(),
            new: BTreeSet::new(),
            since: None,
        }
    }

    /// Starts from no worker at all.
    pub(super) const fn from_nobody() -> Self {
        Self {
            old: BTreeSet::new(),
            new: BTreeSet::new(),
            since: None,
        }
    }

    /// Takes a look at the workers; `true` once no old one accepts and the new
    /// ones have been the same for long enough.
    pub(super) fn complete(&mut self, now: Instant, seen: &Generation) -> bool {
        let new: BTreeSet<u32> = seen.workers.difference(&self.old).copied().collect();
        if new.is_empty() {
            self.since = None;
        } else if self.since.is_none() || new != self.new {
            self.since = Some(now);
        }
        self.new = new;
        let settled = self
            .since
            .is_some_and(|since| now.duration_since(since) >= SETTLED);
        settled && seen.workers.is_disjoint(&self.old)
    }

    /// Whether a new worker was there at the last look.
    pub(super) fn begun(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(pids: &[u32]) -> Generation {
        Generation {
            master_pid: 2,
            workers: pids.iter().copied().collect(),
            draining: 0,
            stopped: false,
        }
    }

    /// Looks at `(milliseconds, workers)` and tells when it was complete.
    fn completed_at(old: &[u32], looks: &[(u64, &[u32])]) -> Option<u64> {
        let start = Instant::now();
        let mut turnover = Turnover::from(&workers(old));
        looks
            .iter()
            .find(|(at, pids)| {
                turnover.complete(start + Duration::from_millis(*at), &workers(pids))
            })
            .map(|(at, _)| *at)
    }

    #[test]
    fn new_workers_have_to_live_and_old_ones_to_leave() {
        let looks: &[(u64, &[u32])] = &[
            (0, &[3, 4]),
            (10, &[3, 4, 5]),
            (12, &[3, 4, 5, 6]),
            (110, &[5, 6]),
            (155, &[5, 6]),
            (163, &[5, 6]),
        ];
        assert_eq!(completed_at(&[3, 4], looks), Some(163));
    }

    #[test]
    fn old_workers_that_stay_hold_it_up() {
        let looks: &[(u64, &[u32])] = &[(0, &[3, 5]), (500, &[3, 5]), (501, &[5])];
        assert_eq!(completed_at(&[3], looks), Some(501));
    }

    #[test]
    fn workers_that_die_at_once_never_complete() {
        let looks: &[(u64, &[u32])] = &[(0, &[3]), (3, &[3, 5]), (105, &[]), (400, &[])];
        assert_eq!(completed_at(&[3], looks), None);
    }

    #[test]
    fn a_worker_that_is_replaced_starts_the_wait_again() {
        let looks: &[(u64, &[u32])] = &[(0, &[5]), (140, &[6]), (200, &[6]), (290, &[6])];
        assert_eq!(completed_at(&[], looks), Some(290));
    }
}

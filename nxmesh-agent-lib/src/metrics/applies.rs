//! How applies went.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{histogram::Counts, sample::Samples};
use crate::apply::Outcome;

/// The outcomes there are; each is told from the start, so that its first one is
/// seen to rise.
const OUTCOMES: [&str; 5] = [
    "applied",
    "unchanged",
    "rejected",
    "rolled_back",
    "held_back",
];

/// Counts of outcomes and of the time that applies take.
#[derive(Debug, Default)]
pub(crate) struct Applies(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    by_outcome: BTreeMap<&'static str, Counts>,
    /// Of those that were applied.
    by_step: BTreeMap<&'static str, Counts>,
}

impl Applies {
    pub(crate) fn add(&self, outcome: &Outcome, took: Duration) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = match outcome {
            Outcome::Applied(applied) if applied.reloaded => "applied",
            Outcome::Applied(_) => "unchanged",
            Outcome::Rejected(_) => "rejected",
            Outcome::RolledBack(_) => "rolled_back",
            Outcome::HeldBack(_) => "held_back",
        };
        seen.by_outcome
            .entry(name)
            .or_default()
            .add(took.as_secs_f64());
        if let Outcome::Applied(applied) = outcome {
            for (step, took) in &applied.durations {
                seen.by_step
                    .entry(step)
                    .or_default()
                    .add(took.as_secs_f64());
            }
        }
    }

    pub(super) fn outcomes(&self, samples: &mut Samples) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for outcome in OUTCOMES {
            let count = seen.by_outcome.get(outcome).map_or(0, Counts::count);
            samples.with([("outcome", outcome.into())], count);
        }
    }

    pub(super) fn durations(&self, samples: &mut Samples) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (outcome, counts) in &seen.by_outcome {
            samples.counts([("outcome", (*outcome).into())], counts.clone());
        }
    }

    pub(super) fn steps(&self, samples: &mut Samples) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (step, counts) in &seen.by_step {
            samples.counts([("step", (*step).into())], counts.clone());
        }
    }
}

//! How many values fell into which range.

/// Seconds, from a cached response to a long poll.
pub(super) const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Counts of values up to each bound, and of those above the last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counts {
    counts: [u64; SECONDS.len() + 1],
    sum: f64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            counts: [0; SECONDS.len() + 1],
            sum: 0.0,
        }
    }
}

impl Counts {
    pub(super) fn add(&mut self, seconds: f64) {
        let range = SECONDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(range) {
            *count += 1;
        }
        self.sum += seconds;
    }

    /// Each bound and how many values are not above it; the last is without bound.
    pub(super) fn up_to(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let bounds = SECONDS.iter().copied().map(Some).chain([None]);
        let mut total = 0;
        bounds.zip(self.counts).map(move |(bound, count)| {
            total += count;
            (bound, total)
        })
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_counts_below_it() {
        let mut counts = Counts::default();
        for seconds in [0.0, 0.001, 0.0011, 30.0, 31.0, 1e9] {
            counts.add(seconds);
        }
        let up_to: Vec<_> = counts.up_to().collect();
        assert_eq!(up_to[0], (Some(0.001), 2));
        assert_eq!(up_to[1], (Some(0.0025), 3));
        assert_eq!(up_to[13], (Some(30.0), 4));
        assert_eq!(up_to[14], (None, 6));
        assert_eq!(counts.count(), 6);
    }
}

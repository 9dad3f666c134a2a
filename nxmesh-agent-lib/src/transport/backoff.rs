//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits that double from `first` to `cap`, of which a random part is waited
/// (full jitter), so that a fleet does not come back all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure. Default: 1 s.
    pub first: Duration,
    /// The longest wait ever. Default: 60 s.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            cap: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The longest wait after so many failures in a row, from 1.
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.cap)
    }

    /// A random wait up to the ceiling.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        self.ceiling(failures).mul_f64(random_fraction())
    }
}

/// Evenly spread from 0 to below 1.
pub(crate) fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness every wait is half its ceiling; nothing secret hangs on it.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return 0.5;
    }
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let seconds: Vec<u64> = (1..=9)
            .map(|failures| Backoff::default().ceiling(failures).as_secs())
            .collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(Backoff::default().ceiling(u32::MAX).as_secs(), 60);
    }

    #[test]
    fn waits_are_spread_below_the_ceiling() {
        let backoff = Backoff::default();
        let waits: Vec<Duration> = (0..1000).map(|_| backoff.delay(7)).collect();
        assert!(waits.iter().all(|wait| *wait < backoff.cap));
        assert!(waits.iter().any(|wait| *wait < backoff.cap / 4));
        assert!(waits.iter().any(|wait| *wait > backoff.cap * 3 / 4));
    }
}

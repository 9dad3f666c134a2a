//! The circuit breaker: an nginx that does not stay up is restarted from time
//! to time only.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// When restarts are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOptions {
    /// More restarts than this within `window` open it. Default: 5.
    pub restarts: usize,
    /// Default: 10 min.
    pub window: Duration,
    /// While it is open nginx is restarted so often at most, and after so long
    /// without trouble it closes. Default: 5 min.
    pub retry: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            restarts: 5,
            window: Duration::from_secs(600),
            retry: Duration::from_secs(300),
        }
    }
}

/// Counts restarts.
#[derive(Debug)]
pub(crate) struct Breaker {
    options: BreakerOptions,
    /// The restarts within the window, the oldest first; one more than opens
    /// it at most.
    recent: VecDeque<Instant>,
    open: bool,
}

impl Breaker {
    pub(crate) fn new(options: BreakerOptions) -> Self {
        Self {
            options,
            recent: VecDeque::new(),
            open: false,
        }
    }

    /// Notes that nginx was restarted, or that it was tried.
    pub(crate) fn restarted(&mut self, now: Instant) {
        self.recent.push_back(now);
        let window = self.options.window;
        while self.recent.len() > self.options.restarts + 1
            || self.recent.front().is_some_and(|it| *it + window < now)
        {
            self.recent.pop_front();
        }
        self.open |= self.recent.len() > self.options.restarts;
    }

    /// Notes that nginx is well.
    pub(crate) fn well(&mut self, now: Instant) {
        if self.next_try().is_some_and(|next| next <= now) {
            self.open = false;
            self.recent.clear();
        }
    }

    /// While it is open, when the next restart is due.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        let last = self.recent.back().filter(|_| self.open)?;
        Some(*last + self.options.retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A breaker after restarts at these seconds, and when it was made.
    fn after(restarts: &[u64]) -> (Breaker, Instant) {
        let begun = Instant::now();
        let mut breaker = Breaker::new(BreakerOptions::default());
        for second in restarts {
            breaker.restarted(begun + Duration::from_secs(*second));
        }
        (breaker, begun)
    }

    fn next_try(restarts: &[u64]) -> Option<u64> {
        let (breaker, begun) = after(restarts);
        Some(breaker.next_try()?.duration_since(begun).as_secs())
    }

    #[test]
    fn five_restarts_in_ten_minutes_are_borne_and_six_are_not() {
        assert_eq!(next_try(&[]), None);
        assert_eq!(next_try(&[0, 1, 2, 3, 4]), None);
        assert_eq!(next_try(&[0, 1, 2, 3, 4, 5]), Some(305));
        assert_eq!(next_try(&[0, 100, 200, 300, 400, 600]), Some(900));
        assert_eq!(next_try(&[0, 100, 200, 300, 400, 601]), None);
    }

    #[test]
    fn once_open_one_try_follows_the_other_slowly() {
        let tries = [0, 1, 2, 3, 4, 5, 305, 605, 905, 1205, 1505];
        assert_eq!(next_try(&tries), Some(1805));
    }

    #[test]
    fn it_closes_after_a_time_without_trouble_and_counts_anew() {
        let (mut breaker, begun) = after(&[0, 1, 2, 3, 4, 5]);
        breaker.well(begun + Duration::from_secs(304));
        assert!(breaker.next_try().is_some());
        breaker.well(begun + Duration::from_secs(305));
        assert_eq!(breaker.next_try(), None);
        for second in 306..311 {
            breaker.restarted(begun + Duration::from_secs(second));
        }
        assert_eq!(breaker.next_try(), None);
        breaker.restarted(begun + Duration::from_secs(311));
        assert!(breaker.next_try().is_some());
    }

    #[test]
    fn what_it_remembers_is_bounded() {
        let seconds: Vec<u64> = (0..10_000).collect();
        let (breaker, _) = after(&seconds);
        assert_eq!(breaker.recent.len(), 6);
    }
}

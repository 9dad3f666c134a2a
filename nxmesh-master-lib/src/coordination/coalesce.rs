//! When writes that follow each other are sent out together.

use std::time::Duration;

use tokio::time::Instant;

/// Gathers hints. One that comes after quiet is due at once, so that a single
/// write is not delayed; those that follow it closely wait for quiet, but not
/// for ever.
#[derive(Debug)]
pub(super) struct Coalesce {
    quiet: Duration,
    most: Duration,
    latest: Option<Instant>,
    /// When to send what waits.
    waiting: Option<Waiting>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    first: Instant,
    due: Instant,
}

impl Coalesce {
    pub(super) const fn new(quiet: Duration, most: Duration) -> Self {
        Self {
            quiet,
            most,
            latest: None,
            waiting: None,
        }
    }

    /// There is something to send.
    pub(super) fn hint(&mut self, now: Instant) {
        let after_quiet = self.latest.is_none_or(|latest| now >= latest + self.quiet);
        self.latest = Some(now);
        self.waiting = Some(match self.waiting {
            None if after_quiet => Waiting {
                first: now,
                due: now,
            },
            waiting => {
                let first = waiting.map_or(now, |waiting| waiting.first);
                let due = (now + self.quiet).min(first + self.most);
                Waiting { first, due }
            }
        });
    }

    /// What waited was sent, or turned out to be nothing.
    pub(super) const fn clear(&mut self) {
        self.waiting = None;
    }

    /// When to send; `None` while there is nothing to.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.map(|waiting| waiting.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn coalesce() -> Coalesce {
        Coalesce::new(ms(50), ms(500))
    }

    #[test]
    fn a_write_after_quiet_is_due_at_once() {
        let (start, mut coalesce) = (Instant::now(), coalesce());
        assert_eq!(coalesce.due(), None);
        coalesce.hint(start);
        assert_eq!(coalesce.due(), Some(start));
        coalesce.clear();
        assert_eq!(coalesce.due(), None);
        coalesce.hint(start + ms(50));
        assert_eq!(coalesce.due(), Some(start + ms(50)));
    }

    #[test]
    fn writes_in_a_row_wait_for_quiet() {
        let (start, mut coalesce) = (Instant::now(), coalesce());
        coalesce.hint(start);
        coalesce.clear();
        coalesce.hint(start + ms(10));
        coalesce.hint(start + ms(40));
        assert_eq!(coalesce.due(), Some(start + ms(90)));
    }

    #[test]
    fn endless_writes_are_sent_all_the_same() {
        let (start, mut coalesce) = (Instant::now(), coalesce());
        coalesce.hint(start);
        coalesce.clear();
        for step in 1..100 {
            coalesce.hint(start + ms(10 * step));
        }
        assert_eq!(coalesce.due(), Some(start + ms(510)));
    }
}

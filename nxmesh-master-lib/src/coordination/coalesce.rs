//! When writes that follow each other are sent out together.

use std::time::Duration;

use tokio::time::Instant;

/// Gathers hints. The first after a pause is due at once, so that a single
/// write is not delayed; those that follow wait for quiet, but not for ever.
#[derive(Debug)]
pub(super) struct Coalesce {
    quiet: Duration,
    most: Duration,
    last_sent: Option<Instant>,
    waiting: Option<Waiting>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    first: Instant,
    latest: Instant,
}

impl Coalesce {
    pub(super) const fn new(quiet: Duration, most: Duration) -> Self {
        Self {
            quiet,
            most,
            last_sent: None,
            waiting: None,
        }
    }

    /// There is something to send.
    pub(super) fn hint(&mut self, now: Instant) {
        let first = self.waiting.map_or(now, |waiting| waiting.first);
        self.waiting = Some(Waiting { first, latest: now });
    }

    /// Everything there was has been sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = Some(now);
        self.waiting = None;
    }

    /// There was nothing to send after all.
    pub(super) const fn forget(&mut self) {
        self.waiting = None;
    }

    /// When to send; `None` while there is nothing to.
    pub(super) fn due(&self) -> Option<Instant> {
        let Waiting { first, latest } = self.waiting?;
        let rested = self.last_sent.is_none_or(|sent| first >= sent + self.most);
        if rested {
            return Some(first);
        }
        Some((latest + self.quiet).min(first + self.most))
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
    fn a_lone_write_is_due_at_once() {
        let (start, mut coalesce) = (Instant::now(), coalesce());
        assert_eq!(coalesce.due(), None);
        coalesce.hint(start);
        assert_eq!(coalesce.due(), Some(start));
        coalesce.sent(start);
        assert_eq!(coalesce.due(), None);
        coalesce.hint(start + ms(500));
        assert_eq!(coalesce.due(), Some(start + ms(500)));
    }

    #[test]
    fn writes_in_a_row_wait_for_quiet() {
        let (start, mut coalesce) = (Instant::now(), coalesce());
        coalesce.sent(start);
        coalesce.hint(start + ms(10));
        coalesce.hint(start + ms(40));
        assert_eq!(coalesce.due(), Some(start + ms(90)));
    }

    #[test]
    fn endless_writes_are_sent_all_the_same() {
        let (start, mut coalesce) = (Instant::now(), coalesce());
        coalesce.sent(start);
        for step in 1..100 {
            coalesce.hint(start + ms(10 * step));
        }
        assert_eq!(coalesce.due(), Some(start + ms(510)));
    }
}

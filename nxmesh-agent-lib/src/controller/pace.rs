//! How soon nginx may be reloaded again.
//!
//! Every reload leaves the workers of one more generation behind, until their last
//! requests are done: with long downloads and WebSockets that is memory that adds up
//! (nginx manual, "Changing Configuration"). What is offered meanwhile waits, the
//! newest alone.

use std::time::Duration;

use nxmesh_core::contract::reloader::Generation;
use tokio::time::Instant;

/// How often nginx is reloaded at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadPace {
    /// Between two reloads. Default: 250 ms.
    pub interval: Duration,
    /// How many older generations may still finish requests. Default: 8.
    pub max_draining: usize,
    /// Between two reloads while there are more. Default: 30 s.
    pub draining_interval: Duration,
}

impl Default for ReloadPace {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(250),
            max_draining: 8,
            draining_interval: Duration::from_secs(30),
        }
    }
}

/// The reloads so far.
#[derive(Debug)]
pub(super) struct Pace {
    options: ReloadPace,
    last: Option<Instant>,
    draining: usize,
}

impl Pace {
    pub(super) const fn new(options: ReloadPace) -> Self {
        Self {
            options,
            last: None,
            draining: 0,
        }
    }

    /// nginx was reloaded.
    pub(super) const fn reloaded(&mut self, now: Instant) {
        self.last = Some(now);
        self.draining += 1;
    }

    /// nginx was looked at.
    pub(super) fn seen(&mut self, generation: Option<&Generation>) {
        self.draining = generation.map_or(0, |generation| {
            let workers = generation.workers.len().max(1);
            generation.draining.div_ceil(workers)
        });
    }

    /// When nginx may be reloaded again, if not at once.
    pub(super) fn next(&self) -> Option<Instant> {
        let interval = if self.draining > self.options.max_draining {
            self.options.draining_interval
        } else {
            self.options.interval
        };
        Some(self.last? + interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(workers: u32, draining: usize) -> Generation {
        Generation {
            master_pid: 1,
            workers: (2..2 + workers).collect(),
            draining,
            stopped: false,
        }
    }

    #[test]
    fn reloads_have_room_between_them_and_more_while_many_workers_drain() {
        let options = ReloadPace::default();
        let mut pace = Pace::new(options);
        assert_eq!(pace.next(), None, "the first is made at once");
        let now = Instant::now();
        pace.reloaded(now);
        assert_eq!(pace.next(), Some(now + options.interval));
        pace.seen(Some(&generation(2, 16)));
        assert_eq!(pace.next(), Some(now + options.interval), "eight are fine");
        pace.seen(Some(&generation(2, 17)));
        assert_eq!(pace.next(), Some(now + options.draining_interval));
        // They end, or nginx does.
        pace.seen(Some(&generation(2, 4)));
        assert_eq!(pace.next(), Some(now + options.interval));
        pace.seen(Some(&generation(0, 9)));
        assert_eq!(pace.next(), Some(now + options.draining_interval));
        pace.seen(None);
        assert_eq!(pace.next(), Some(now + options.interval));
    }

    #[test]
    fn many_reloads_between_two_looks_are_counted() {
        let options = ReloadPace::default();
        let mut pace = Pace::new(options);
        let now = Instant::now();
        for _ in 0..=options.max_draining {
            pace.reloaded(now);
        }
        assert_eq!(pace.next(), Some(now + options.draining_interval));
    }
}

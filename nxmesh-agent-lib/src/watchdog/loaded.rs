//! Which files nginx has read: those that were confirmed, or what somebody made
//! of them.

use nxmesh_core::contract::reloader::Generation;

/// Follows the generations of workers. One that came without the agent's doing
/// read the files as they were then.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The workers there were when nginx read its files, but for those that
    /// died since; `None` after the agent itself replaced them.
    known: Option<Generation>,
    /// Other workers, seen once.
    coming: Option<Generation>,
    /// Whether files were touched since the workers seen last were seen first.
    touched: bool,
    /// Whether nginx has read its files, and it is not known yet what they said.
    unjudged: bool,
    astray: bool,
}

impl Loaded {
    /// Whether nginx may serve something else than what was confirmed.
    pub(crate) const fn is_astray(&self) -> bool {
        self.astray
    }

    /// Somebody touched a file.
    pub(crate) fn touched(&mut self) {
        self.touched = true;
    }

    /// The agent itself had nginx read its files.
    pub(crate) fn read_by_us(&mut self) {
        (self.known, self.coming) = (None, None);
        self.touched = false;
        self.unjudged = true;
    }

    /// Takes a look at the workers; `true` if somebody else had nginx read its
    /// files, which are to be judged now.
    pub(crate) fn seen(&mut self, generation: &Generation, drifted: bool) -> bool {
        let (anew, settled) = match &self.known {
            None => (false, true),
            Some(known) if generation.replaces(known) => (true, true),
            // In the middle of a reload there are more of them for a moment, or
            // fewer, the old beside the new.
            Some(known) => {
                let as_many = generation.workers.len() == known.workers.len();
                (false, as_many || self.coming.as_ref() == Some(generation))
            }
        };
        self.coming = Some(generation.clone());
        if settled {
            self.known = self.coming.take();
        }
        if anew {
            self.unjudged = true;
        } else if !drifted && !self.unjudged {
            self.touched = false;
        }
        anew
    }

    /// Takes in what the files are like.
    pub(crate) fn judge(&mut self, drifted: bool) {
        if std::mem::take(&mut self.unjudged) {
            // Touched and as before: perhaps only now.
            self.astray = drifted || self.touched;
            self.touched = drifted;
        }
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

    /// One whose first look found clean files.
    fn clean() -> Loaded {
        let mut loaded = Loaded::default();
        loaded.read_by_us();
        loaded.judge(false);
        assert!(!loaded.seen(&workers(&[3, 4]), false));
        loaded
    }

    #[test]
    fn files_that_drift_are_not_served_until_nginx_reads_them() {
        let mut loaded = clean();
        loaded.touched();
        loaded.judge(true);
        assert!(!loaded.seen(&workers(&[3, 4]), true));
        assert!(!loaded.is_astray());
        assert!(loaded.seen(&workers(&[5, 6]), true));
        loaded.judge(true);
        assert!(loaded.is_astray());
    }

    #[test]
    fn a_worker_that_died_is_no_reload() {
        let mut loaded = clean();
        loaded.touched();
        loaded.judge(true);
        assert!(!loaded.seen(&workers(&[3, 7]), true));
        assert!(!loaded.seen(&workers(&[7, 8]), true));
    }

    #[test]
    fn a_reload_is_seen_in_whatever_steps_it_is_looked_at() {
        let steps: [&[u32]; 3] = [&[3, 4, 5], &[3, 4, 5, 6], &[4, 5, 6]];
        for seen in 0..8_usize {
            let mut loaded = clean();
            for (number, step) in steps.iter().enumerate() {
                if seen & (1 << number) != 0 {
                    assert!(!loaded.seen(&workers(step), true), "{seen:b}");
                }
            }
            assert!(loaded.seen(&workers(&[5, 6]), true), "{seen:b}");
            assert!(!loaded.seen(&workers(&[5, 6]), true), "{seen:b}");
        }
    }

    #[test]
    fn workers_that_become_fewer_for_good_are_known() {
        let mut loaded = clean();
        for _ in 0..2 {
            assert!(!loaded.seen(&workers(&[4]), false));
        }
        assert!(loaded.seen(&workers(&[5]), false));
    }

    #[test]
    fn a_reload_of_clean_files_is_none_of_our_business() {
        let mut loaded = clean();
        assert!(loaded.seen(&workers(&[5, 6]), false));
        loaded.judge(false);
        assert!(!loaded.is_astray());
    }

    #[test]
    fn files_put_back_after_the_reload_do_not_take_it_back() {
        let mut loaded = clean();
        loaded.touched();
        loaded.judge(false);
        assert!(loaded.seen(&workers(&[5, 6]), false));
        loaded.judge(false);
        assert!(
            loaded.is_astray(),
            "changed, read, changed back, all between two looks"
        );
        loaded.judge(false);
        assert!(loaded.is_astray());
        assert!(!loaded.seen(&workers(&[5, 6]), false));
        assert!(loaded.seen(&workers(&[7, 8]), false));
        loaded.judge(false);
        assert!(!loaded.is_astray(), "read again as they should be");
    }

    #[test]
    fn what_the_agent_has_read_counts_by_what_it_finds() {
        let mut loaded = clean();
        loaded.touched();
        loaded.read_by_us();
        loaded.judge(false);
        assert!(!loaded.is_astray());
        loaded.read_by_us();
        loaded.judge(true);
        assert!(loaded.is_astray());
        assert!(!loaded.seen(&workers(&[9]), true), "its own new workers");
    }
}

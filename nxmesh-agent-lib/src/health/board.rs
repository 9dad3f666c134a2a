//! Where checks write how they went.

use std::{collections::BTreeSet, sync::Arc};

use nxmesh_core::{contract::clock::Clock, model::CheckResult};

use crate::{apply::Server, exchange::Exchange};

/// More than anybody reads of one check.
const MAX_MESSAGE_CHARS: usize = 200;

/// The health in the agent's status.
#[derive(Debug, Clone)]
pub(super) struct Board {
    pub(super) exchange: Arc<Exchange>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Board {
    /// Notes how the check called `name` went.
    pub(super) fn note(&self, name: &str, seen: Result<(), String>) {
        let now = self.clock.unix_millis();
        let ok = seen.is_ok();
        let message: String = seen.err().unwrap_or_default();
        let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
        let turned = self.exchange.status.send_if_modified(|status| {
            let marked_down = is_marked_down(&status.marked_down, name);
            let checks = &mut status.health.checks;
            let at = match checks.binary_search_by(|it| it.name.as_str().cmp(name)) {
                Ok(at) => at,
                Err(at) => {
                    let fresh = CheckResult {
                        name: name.to_owned(),
                        marked_down,
                        ..CheckResult::default()
                    };
                    checks.insert(at, fresh);
                    at
                }
            };
            let Some(check) = checks.get_mut(at) else {
                return false;
            };
            let turned = check.ok != ok || check.since == 0;
            if turned {
                check.since = now;
                status.health_turns += 1;
            }
            let changed = turned || check.message != message;
            (check.ok, check.message) = (ok, message.clone());
            changed
        });
        if turned && !ok {
            tracing::warn!(check = name, reason = message, "a check fails");
        }
    }

    /// Notes how a server of an upstream is.
    pub(super) fn note_server(&self, server: &Server, seen: Result<(), String>) {
        let now = self.clock.unix_millis();
        let fails = seen.is_err();
        self.exchange.failing.send_if_modified(|failing| {
            let known = failing.contains_key(server);
            match fails {
                true => drop(failing.entry(server.clone()).or_insert(now)),
                false => drop(failing.remove(server)),
            }
            known != fails
        });
        self.note(&super::name_of(server), seen);
    }

    /// Whether a server counts as failing.
    pub(super) fn fails(&self, server: &Server) -> bool {
        self.exchange.failing.borrow().contains_key(server)
    }

    /// Forgets servers that are not checked any more.
    pub(super) fn keep_servers(&self, stays: impl Fn(&Server) -> bool, names: &BTreeSet<String>) {
        self.exchange.failing.send_if_modified(|failing| {
            let before = failing.len();
            failing.retain(|server, _| stays(server));
            failing.len() != before
        });
        self.exchange.status.send_if_modified(|status| {
            let before = status.health.checks.len();
            let servers = |check: &CheckResult| check.name.starts_with(super::UPSTREAM);
            let checks = &mut status.health.checks;
            checks.retain(|check| !servers(check) || names.contains(&check.name));
            let changed = checks.len() != before;
            status.health_turns += u64::from(changed);
            changed
        });
    }
}

fn is_marked_down(servers: &[Server], name: &str) -> bool {
    servers.iter().any(|server| super::name_of(server) == name)
}

#[cfg(test)]
mod tests {
    use nxmesh_core::memory::ManualClock;
    use tokio::sync::watch;

    use super::*;

    #[test]
    fn a_check_turns_only_when_it_changes_its_mind() {
        let (exchange, _commands) = Exchange::new(watch::Sender::default());
        let clock = Arc::new(ManualClock::at_unix_millis(5));
        let board = Board {
            exchange: Arc::clone(&exchange),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        let seen = || {
            let status = exchange.status.borrow();
            let checks = status.health.checks.iter();
            let checks = checks.map(|it| (it.name.clone(), it.ok, it.since, it.message.clone()));
            (status.health_turns, checks.collect::<Vec<_>>())
        };
        board.note("b", Ok(()));
        board.note("a", Err("x".repeat(1000)));
        clock.advance(std::time::Duration::from_millis(2));
        board.note("b", Ok(()));
        board.note("a", Err("still".to_owned()));
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let still = (a.clone(), false, 5, "still".to_owned());
        assert_eq!(
            seen(),
            (2, vec![still, (b.clone(), true, 5, String::new())])
        );
        board.note("a", Ok(()));
        board.note("b", Err("y".repeat(1000)));
        let (turns, checks) = seen();
        assert_eq!(turns, 4);
        assert_eq!(checks[0], (a, true, 7, String::new()));
        assert_eq!(checks[1], (b, false, 7, "y".repeat(MAX_MESSAGE_CHARS)));
    }
}

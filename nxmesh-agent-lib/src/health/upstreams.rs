//! Checks of the servers of upstreams, as documents ask for them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use http::Method;
use nxmesh_core::{
    bundle::Slice,
    model::{HealthCheck, HealthCheckType, value::LogStatus},
};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use super::{
    board::Board,
    probe::{self, Question, Target},
    varied,
};
use crate::{apply::Server, transport::random_fraction};

/// More servers of one agent are not checked.
const MAX_SERVERS: usize = 1000;

/// Checks the servers of the newest version taken on, until dropped.
pub(super) async fn watch(board: Board) {
    let mut accepted = board.exchange.accepted.subscribe();
    let mut checking = JoinSet::new();
    let mut running: BTreeMap<Server, (HealthCheck, AbortHandle)> = BTreeMap::new();
    loop {
        let slice = accepted.borrow_and_update().clone();
        let wanted = slice.as_deref().map(servers).unwrap_or_default();
        running.retain(|server, (check, task)| {
            let stays = wanted.get(server) == Some(check);
            if !stays {
                task.abort();
            }
            stays
        });
        let names = wanted.keys().map(super::name_of).collect();
        // Before a version is known, it is not known either what may be forgotten.
        if slice.is_some() {
            board.keep_servers(|server| wanted.contains_key(server), &names);
        }
        for (server, check) in wanted {
            if let Entry::Vacant(place) = running.entry(server) {
                let task = again_and_again(place.key().clone(), check.clone(), board.clone());
                let task = checking.spawn(task);
                place.insert((check, task));
            }
        }
        while checking.try_join_next().is_some() {}
        if accepted.changed().await.is_err() {
            return;
        }
    }
}

/// The servers that are to be checked, and how.
fn servers(slice: &Slice) -> BTreeMap<Server, HealthCheck> {
    let upstreams = slice.resources().upstreams();
    let checked = upstreams.filter_map(|it| Some((it, it.spec.health_check.as_deref()?)));
    let servers = checked.flat_map(|(upstream, check)| {
        let used = upstream.spec.servers.iter().filter(|server| !server.down);
        used.map(move |server| {
            let server = Server {
                upstream: upstream.metadata.name.clone(),
                address: server.address.to_string(),
            };
            (server, check.clone())
        })
    });
    servers.take(MAX_SERVERS).collect()
}

async fn again_and_again(server: Server, check: HealthCheck, board: Board) {
    let target = match server.address.strip_prefix("unix:") {
        Some(path) => Target::Unix(path.into()),
        None => Target::Tcp(server.address.clone()),
    };
    let question = question(&server, &check);
    let (interval, timeout) = (check.interval(), check.timeout());
    // Marked before the agent was started: it has to rise first.
    let mut turns = Turns {
        fails: board.fails(&server),
        in_a_row: 0,
    };
    // Not all at once.
    sleep(
        interval
            .min(Duration::from_secs(1))
            .mul_f64(random_fraction()),
    )
    .await;
    loop {
        let seen = match check.kind {
            HealthCheckType::Tcp => probe::accepts(&target, timeout).await,
            HealthCheckType::Http => probe::answers(&target, &question, timeout).await,
        };
        turns.take(seen.is_ok(), &check);
        let counted = match (&seen, turns.fails) {
            (Err(reason), true) => Err(reason.clone()),
            (Ok(()), true) => Err("it answers again, not yet often enough".to_owned()),
            (_, false) => Ok(()),
        };
        board.note_server(&server, counted);
        sleep(varied(interval)).await;
    }
}

fn question(server: &Server, check: &HealthCheck) -> Question {
    let expect = match &check.expect_status[..] {
        [] => ["2xx", "3xx"]
            .iter()
            .filter_map(|it| it.parse().ok())
            .collect(),
        expected => expected.to_vec(),
    };
    let host = check.host.as_ref().map(ToString::to_string);
    let host = host.unwrap_or_else(|| match server.address.starts_with("unix:") {
        true => "localhost".to_owned(),
        false => server.address.clone(),
    });
    Question {
        method: Method::GET,
        path: check
            .path
            .as_ref()
            .map_or("/".to_owned(), ToString::to_string),
        host,
        expect: expect as Vec<LogStatus>,
        contains: None,
    }
}

/// Whether a server fails, by its last answers.
#[derive(Debug)]
struct Turns {
    fails: bool,
    /// Answers in a row that say otherwise.
    in_a_row: u8,
}

impl Turns {
    fn take(&mut self, good: bool, check: &HealthCheck) {
        if good != self.fails {
            self.in_a_row = 0;
            return;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        let needed = if self.fails {
            check.rises()
        } else {
            check.falls()
        };
        if self.in_a_row >= needed {
            self.fails = !self.fails;
            self.in_a_row = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_some_answers_in_a_row_to_turn() {
        let check = HealthCheck::default();
        let mut turns = Turns {
            fails: false,
            in_a_row: 0,
        };
        let answers = [
            (false, false),
            (false, false),
            (true, false),
            (false, false),
            (false, false),
            (false, true),
            (true, true),
            (false, true),
            (true, true),
            (true, false),
        ];
        for (index, (good, fails)) in answers.into_iter().enumerate() {
            turns.take(good, &check);
            assert_eq!(turns.fails, fails, "{index}");
        }
    }
}

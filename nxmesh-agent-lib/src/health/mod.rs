//! How the machine, nginx and what it serves are: measured from time to time, and
//! told to the master when a check changes its mind or the next report is due.

mod board;
mod check;
mod measure;
mod probe;
mod system;
mod upstreams;

use std::{sync::Arc, time::Duration};

use nxmesh_core::contract::clock::Clock;
use tokio::{task::JoinSet, time::sleep};

use self::board::Board;
pub use self::check::{HttpCheck, HttpCheckError};
use crate::{apply::Server, config::AgentOptions, exchange::Exchange, transport::random_fraction};

/// More checks of one agent are left out.
const MAX_CHECKS: usize = 64;

/// What the names of checks of servers begin with.
const UPSTREAM: &str = "Upstream/";

/// What is measured, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthOptions {
    /// How often the machine, nginx's connections and its certificates are looked at;
    /// up to 10 % more or less. Default: 60 s.
    pub interval: Duration,
    /// What is asked over HTTP, 64 at most, by names of their own. Default: nothing.
    pub checks: Vec<HttpCheck>,
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            checks: Vec::new(),
        }
    }
}

/// Begins to measure, until the tasks are dropped.
pub(crate) fn begin(
    options: &AgentOptions,
    exchange: &Arc<Exchange>,
    clock: Arc<dyn Clock>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let board = Board {
        exchange: Arc::clone(exchange),
        clock,
    };
    for check in options.health.checks.iter().take(MAX_CHECKS) {
        tasks.spawn(again_and_again(check.clone(), board.clone()));
    }
    tasks.spawn(upstreams::watch(board.clone()));
    tasks.spawn(measure::again_and_again(options.clone(), board));
    tasks
}

async fn again_and_again(check: HttpCheck, board: Board) {
    let name = format!("http/{}", check.name);
    // Not all at once.
    sleep(check.interval.mul_f64(random_fraction() / 2.0)).await;
    loop {
        let seen = probe::answers(&check.target, &check.question, check.timeout).await;
        board.note(&name, seen);
        sleep(varied(check.interval)).await;
    }
}

/// What the check of a server is called.
pub(crate) fn name_of(server: &Server) -> String {
    format!("{UPSTREAM}{} {}", server.upstream, server.address)
}

/// 10 % more or less, so that a fleet does not measure in step.
fn varied(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random_fraction())
}

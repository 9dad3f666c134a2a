//! Clients that ask all the time, and the count of what went wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::http::{Connection, Failure, Response, Target};

/// Whether an answer is one that may be given.
pub type Expected = Arc<dyn Fn(&Response) -> bool + Send + Sync>;

/// How many clients of which kind ask whom.
pub struct Options {
    /// Asked in turn by every client.
    pub targets: Vec<Target>,
    /// Clients that open a connection for each request.
    pub new_connections: usize,
    /// Clients that keep their connection, and ask once more on a new one when it was closed before the
    /// first byte of an answer, as browsers and proxies do.
    pub keep_alive: usize,
    /// How long a client thinks after an answer; with it the load is bounded.
    pub pause: Duration,
    /// Any other answer is a failure.
    pub expected: Expected,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("targets", &self.targets)
            .field("new_connections", &self.new_connections)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

/// What one kind of client has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests asked, the failed ones included.
    pub requests: u64,
    /// Requests whose kept connection was closed before an answer, and that were asked again.
    pub retried: u64,
    /// Failed requests, by kind of failure.
    pub failed: BTreeMap<String, u64>,
}

impl Count {
    /// How many failed, of whatever kind.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.retried += other.retried;
        for (kind, count) in other.failed {
            *self.failed.entry(kind).or_default() += count;
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests, {} failed", self.requests, self.failures())?;
        for (kind, count) in &self.failed {
            write!(f, ", {count} {kind}")?;
        }
        if self.retried > 0 {
            write!(f, ", {} asked again on a new connection", self.retried)?;
        }
        Ok(())
    }
}

/// What all clients have seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Those with a new connection for each request.
    pub new_connections: Count,
    /// Those that keep their connection.
    pub keep_alive: Count,
}

/// Running clients. They end when this is dropped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    new_connections: Vec<JoinHandle<Count>>,
    keep_alive: Vec<JoinHandle<Count>>,
}

impl Load {
    /// Starts the clients.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let options = Arc::new(options);
        let client = |number: usize, keeps: bool| {
            let client = Client {
                options: Arc::clone(&options),
                stop: Arc::clone(&stop),
                answered: Arc::clone(&answered),
                count: Count::default(),
            };
            thread::spawn(move || client.run(number, keeps))
        };
        Self {
            new_connections: (0..options.new_connections)
                .map(|number| client(number, false))
                .collect(),
            keep_alive: (0..options.keep_alive)
                .map(|number| client(number, true))
                .collect(),
            answered: Arc::clone(&answered),
            stop,
        }
    }

    /// How many requests were answered as expected so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the clients, each after the answer it waits for, and counts.
    #[must_use]
    pub fn finish(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for (clients, count) in [
            (&mut self.new_connections, &mut tally.new_connections),
            (&mut self.keep_alive, &mut tally.keep_alive),
        ] {
            for client in clients.drain(..) {
                match client.join() {
                    Ok(seen) => count.add(seen),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        }
        tally
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Client {
    options: Arc<Options>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    count: Count,
}

impl Client {
    fn run(mut self, number: usize, keeps: bool) -> Count {
        let options = Arc::clone(&self.options);
        // A connection belongs to one address, so each target has its own.
        let mut kept: Vec<Option<Connection>> = options.targets.iter().map(|_| None).collect();
        let mut turn = number;
        while !self.stop.load(Ordering::Relaxed) && !options.targets.is_empty() {
            let at = turn % options.targets.len();
            turn += 1;
            let target = &options.targets[at];
            self.count.requests += 1;
            let answer = if keeps {
                self.ask_on(&mut kept[at], target)
            } else {
                target.get()
            };
            match answer {
                Ok(response) if (options.expected)(&response) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(response) => self.failed(format!("unexpected answers {}", response.status)),
                Err(failure) => self.failed(failure.kind().to_owned()),
            }
            thread::sleep(options.pause);
        }
        self.count
    }

    fn ask_on(
        &mut self,
        kept: &mut Option<Connection>,
        target: &Target,
    ) -> Result<Response, Failure> {
        let request = target.request("GET", &[], b"");
        if let Some(mut connection) = kept.take() {
            match connection.send(&request) {
                Ok(response) => {
                    Self::keep(kept, connection, &response);
                    return Ok(response);
                }
                Err(Failure::Unanswered(_)) => self.count.retried += 1,
                Err(failure) => return Err(failure),
            }
        }
        let mut connection = Connection::open(target)?;
        let response = connection.send(&request)?;
        Self::keep(kept, connection, &response);
        Ok(response)
    }

    fn keep(kept: &mut Option<Connection>, connection: Connection, response: &Response) {
        if response.header("connection") != Some("close") {
            *kept = Some(connection);
        }
    }

    fn failed(&mut self, kind: String) {
        *self.count.failed.entry(kind).or_default() += 1;
    }
}

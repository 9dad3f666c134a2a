//! What the person watching sees: one live line per step on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Prints steps with how long they took.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    terminal: bool,
    /// The step under way.
    live: Option<(String, Instant)>,
    /// What was shown, with how long it took.
    steps: Vec<(String, Duration)>,
    /// Nothing is printed any more.
    silent: bool,
    /// Every step is done.
    finished: bool,
}

const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

impl Progress {
    pub(crate) fn on_standard_output() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let progress = Self(Arc::new(Shared {
            state: Mutex::new(State {
                terminal: io::stdout().is_terminal() && !dumb,
                live: None,
                steps: Vec::new(),
                silent: false,
                finished: false,
            }),
            changed: Condvar::new(),
        }));
        let animated = progress.clone();
        thread::spawn(move || animated.animate());
        progress
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one step; prints its name, how it ended and how long it took.
    pub(crate) fn step<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        {
            let mut state = self.state();
            state.live = Some((name.to_owned(), started));
            if !state.terminal {
                state.print(&format!("{name} …"));
            }
        }
        self.0.changed.notify_all();
        let outcome = work();
        let took = started.elapsed();
        let mut state = self.state();
        state.live = None;
        let mark = if outcome.is_ok() { "✓" } else { "✗" };
        state.print(&format!("{mark} {name} ({} ms)", took.as_millis()));
        state.steps.push((name.to_owned(), took));
        outcome
    }

    /// Prints a line below what was shown, also in the middle of a step.
    pub(crate) fn say(&self, text: &str) {
        let mut state = self.state();
        for line in text.lines() {
            state.print(&format!("    {line}"));
        }
    }

    /// Prints a text as it is.
    pub(crate) fn print(&self, text: &str) {
        self.state().print(text);
    }

    /// Prints how long each step took.
    pub(crate) fn summary(&self) {
        let mut state = self.state();
        let lines: Vec<String> = state
            .steps
            .iter()
            .map(|(name, took)| format!("{:>8} ms  {name}", took.as_millis()))
            .collect();
        state.print("");
        for line in lines {
            state.print(&line);
        }
        state.finished = true;
    }

    /// Ends the live line.
    pub(crate) fn end(&self) {
        self.state().live = None;
    }

    /// Prints nothing from now on; tells whether all was done.
    pub(crate) fn silence(&self) -> bool {
        let mut state = self.state();
        state.clear();
        state.live = None;
        state.silent = true;
        state.finished
    }

    fn animate(&self) {
        for frame in FRAMES.iter().cycle() {
            let mut state = self.state();
            while state.live.is_none() || !state.terminal {
                state = self
                    .0
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.draw(*frame);
            drop(state);
            thread::sleep(Duration::from_millis(80));
        }
    }
}

impl State {
    fn print(&mut self, line: &str) {
        if self.silent {
            return;
        }
        self.clear();
        // A reader that went away is told nothing more.
        drop(writeln!(io::stdout(), "{line}"));
    }

    fn clear(&self) {
        if self.terminal && !self.silent {
            drop(write!(io::stdout(), "\r\u{1b}[K"));
        }
    }

    fn draw(&self, frame: char) {
        if let (Some((name, started)), false) = (&self.live, self.silent) {
            let seconds = started.elapsed().as_secs();
            let mut out = io::stdout();
            drop(write!(out, "\r\u{1b}[K{frame} {name} {seconds} s"));
            drop(out.flush());
        }
    }
}

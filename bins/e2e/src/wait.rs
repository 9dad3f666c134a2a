//! Waiting for something that is about to become true.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a step may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `probe` until it gives a value, for [`PATIENCE`].
///
/// # Errors
///
/// When there is no value in time; `what` says what was waited for, the last error of `probe` why.
pub fn until<T>(what: &str, probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    until_within(PATIENCE, what, probe)
}

/// As [`until`], with another patience.
///
/// # Errors
///
/// As [`until`].
pub fn until_within<T>(
    patience: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        let outcome = probe();
        if let Ok(Some(value)) = outcome {
            return Ok(value);
        }
        if deadline <= Instant::now() {
            let waited = format!("{what}: not so within {} s", patience.as_secs());
            match outcome {
                Err(error) => return Err(error).context(waited),
                Ok(_) => bail!(waited),
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

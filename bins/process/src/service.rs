//! Tells systemd how far the process is (sd_notify(3)); without systemd nothing happens.

use sd_notify::NotifyState;
use tokio::time::sleep;
use tracing::warn;

/// The service does its work. Call it when that is proven, not when it is hoped.
pub fn ready() {
    notify(NotifyState::Ready);
}

/// The service begins to stop.
pub fn stopping() {
    notify(NotifyState::Stopping);
}

/// One line on what the service does, shown by `systemctl status`.
pub fn status(text: &str) {
    notify(NotifyState::Status(text));
}

/// Tells the service manager from now on that the process gets on, twice in the time it allows
/// (sd_watchdog_enabled(3)). Ends with the runtime; nothing happens where nobody asks for it.
///
/// A runtime that is stuck tells nothing, and the process is started anew.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn keep_alive() {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    tokio::spawn(async move {
        loop {
            notify(NotifyState::Watchdog);
            sleep(limit / 2).await;
        }
    });
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(&state)) {
        warn!(%error, ?state, "could not notify the service manager");
    }
}

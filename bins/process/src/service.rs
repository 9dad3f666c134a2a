//! Tells systemd how far the process is (sd_notify(3)); without systemd nothing happens.

use sd_notify::NotifyState;
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

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(&state)) {
        warn!(%error, ?state, "could not notify the service manager");
    }
}

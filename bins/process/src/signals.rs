//! Two steps to stop: the first signal asks, the second or a time limit insists.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::exit::Exit;
use crate::service;

/// Cancels `stop` on the first SIGINT or SIGTERM and ends the process with [`Exit::Interrupted`] on
/// the second one, or when it is still there `limit` after `stop` was cancelled by whomever.
///
/// From the return of this function on no signal is missed. The watch ends with the runtime.
///
/// # Errors
///
/// When the operating system refuses a signal handler.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn stop_softly(stop: &CancellationToken, limit: Duration) -> io::Result<()> {
    let signals = StopSignals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    };
    let stop = stop.clone();
    tokio::spawn(async move {
        watch(signals, &stop, limit).await;
        std::process::exit(Exit::Interrupted.code().into());
    });
    Ok(())
}

/// Where the names of stop signals come from.
trait Signals {
    async fn next(&mut self) -> &'static str;
}

struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals for StopSignals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            Some(()) = self.interrupt.recv() => "SIGINT",
            Some(()) = self.terminate.recv() => "SIGTERM",
            // Only without signal driver, that is while the runtime goes down.
            else => pending().await,
        }
    }
}

/// Returns when the soft stop is to be cut short.
async fn watch(mut signals: impl Signals, stop: &CancellationToken, limit: Duration) {
    tokio::select! {
        name = signals.next() => {
            info!(signal = name, limit_s = limit.as_secs(), "stopping; a second signal stops at once");
            stop.cancel();
        }
        () = stop.cancelled() => {}
    }
    service::stopping();
    tokio::select! {
        name = signals.next() => warn!(signal = name, "stopping at once"),
        () = tokio::time::sleep(limit) => {
            warn!(limit_s = limit.as_secs(), "not stopped in time, stopping at once");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    struct Scripted(mpsc::UnboundedReceiver<&'static str>);

    impl Signals for Scripted {
        async fn next(&mut self) -> &'static str {
            match self.0.recv().await {
                Some(name) => name,
                None => pending().await,
            }
        }
    }

    #[tokio::test]
    async fn the_first_signal_is_soft_and_the_second_hard() {
        let (send, receive) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let watched = tokio::spawn({
            let stop = stop.clone();
            async move { watch(Scripted(receive), &stop, LONG).await }
        });
        send.send("SIGTERM").unwrap();
        timeout(LONG, stop.cancelled()).await.unwrap();
        assert!(!watched.is_finished());
        send.send("SIGTERM").unwrap();
        timeout(LONG, watched).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_stop_has_a_time_limit_even_without_signals() {
        let (_send, receive) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        stop.cancel();
        let watched = watch(Scripted(receive), &stop, Duration::from_millis(10));
        timeout(LONG, watched).await.unwrap();
    }

    #[tokio::test]
    async fn a_real_signal_cancels() {
        let stop = CancellationToken::new();
        stop_softly(&stop, LONG).unwrap();
        let pid = std::process::id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        timeout(LONG, stop.cancelled()).await.unwrap();
    }
}

//! Waiting with an end, on any runtime.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    thread,
    time::Duration,
};

use futures_channel::oneshot;
use futures_util::future::{Either, select};

/// How long a step of a test may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future` for [`PATIENCE`].
///
/// # Panics
///
/// When it takes longer; `what` says what was waited for.
pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(PATIENCE, future)
        .await
        .unwrap_or_else(|| panic!("{what}: nothing happened within {PATIENCE:?}"))
}

/// Waits for `future` for at most `span`; `None` if it takes longer.
pub async fn within<T>(span: Duration, future: impl Future<Output = T>) -> Option<T> {
    match select(pin!(future), pin!(pause(span))).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(_) => None,
    }
}

/// Waits for `span`. A thread sleeps, so no runtime is needed.
pub async fn pause(span: Duration) {
    let (wake, woken) = oneshot::channel::<()>();
    thread::spawn(move || {
        thread::sleep(span);
        drop(wake);
    });
    // Ends when the thread drops its half.
    woken.await.unwrap_or_default();
}

/// Lets other futures of the same task go first, once.
pub async fn step_aside() {
    let mut stepped = false;
    poll_fn(move |context| {
        if stepped {
            return Poll::Ready(());
        }
        stepped = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

//! The conformance suite of [`Reloader`].

use std::time::Duration;

use async_trait::async_trait;

use crate::contract::reloader::{Candidate, Generation, ReloadError, Reloader};

/// How long the reloader may take for one call.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A configuration the rig can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configuration<'a> {
    /// One that answers every request with this text.
    Answers(&'a str),
    /// One that nginx refuses to parse.
    Broken,
    /// One that nginx parses and cannot load, for example because another
    /// process holds a port it wants.
    Unloadable,
}

/// One disposable nginx and the reloader that drives it. Dropping it stops nginx.
#[async_trait]
pub trait Rig: Sized + Send + Sync {
    /// The reloader under test.
    type Subject: Reloader;

    /// Starts an instance that answers `"initial"`.
    async fn start() -> (Self, Self::Subject);

    /// Writes `configuration` beside the one in place, to be checked.
    async fn candidate(&self, configuration: Configuration<'_>) -> Candidate;

    /// Puts `configuration` in place at the entry. nginx is not told.
    async fn switch(&self, configuration: Configuration<'_>);

    /// Asks the instance, not the reloader, over a new connection.
    async fn answer(&self) -> String;

    /// Ends the instance and returns when nothing of it runs any more.
    async fn stop(&self);
}

/// Emits one test per clause of the [`Reloader`](crate::contract::reloader::Reloader)
/// contract for a [`Rig`](crate::testkit::reloader::Rig).
#[macro_export]
macro_rules! reloader_conformance {
    ($rig:ty) => {
        $crate::reloader_conformance! { @each $rig:
            // 1
            a_check_disturbs_nobody,
            // 2
            a_check_tells_good_from_bad,
            // 3
            ok_means_clients_see_it,
            // 4
            a_rejection_keeps_serving,
            an_unloadable_configuration_keeps_serving,
            // 5
            starting_what_runs_changes_nothing,
            starting_what_does_not_run_serves,
            a_refused_start_is_told,
            // 6
            what_does_not_run_is_none,
            // 7
            stopped_is_gone_and_can_be_started,
            stopping_what_does_not_run_is_done,
            // 8
            what_quit_is_gone,
            // 9
            what_goes_on_is_what_ran,
            // 10
            looking_ahead_disturbs_nobody,
        }
    };
    (@each $rig:ty: $($clause:ident,)+) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testkit::reloader::$clause::<$rig>().await;
            }
        )+
    };
}

use Configuration::{Answers, Broken, Unloadable};

async fn running(subject: &impl Reloader) -> Generation {
    let running = subject.running().await.expect("look at what runs");
    running.expect("nginx is running")
}

fn assert_rejected<T: std::fmt::Debug>(result: Result<T, ReloadError>) {
    match result {
        Err(ReloadError::Rejected { diagnostic }) => {
            assert!(
                diagnostic.contains("[emerg]"),
                "not nginx's words: {diagnostic}"
            );
        }
        other => panic!("a rejection was expected, there is {other:?}"),
    }
}

/// Clause 1: not even when another configuration waits at the entry.
pub async fn a_check_disturbs_nobody<R: Rig>() {
    let (rig, subject) = R::start().await;
    let before = running(&subject).await;
    rig.switch(Answers("waiting")).await;
    for configuration in [Answers("candidate"), Broken, Answers("another")] {
        let candidate = rig.candidate(configuration).await;
        let accepted = subject.check(&candidate, DEADLINE).await.is_ok();
        assert_eq!(accepted, configuration != Broken, "{configuration:?}");
        assert_eq!(rig.answer().await, "initial");
    }
    assert_eq!(running(&subject).await, before);
}

/// Clause 2: as nginx would, and in its words.
pub async fn a_check_tells_good_from_bad<R: Rig>() {
    let (rig, subject) = R::start().await;
    let good = rig.candidate(Answers("good")).await;
    subject.check(&good, DEADLINE).await.expect("a good one");
    let broken = rig.candidate(Broken).await;
    assert_rejected(subject.check(&broken, DEADLINE).await);
    subject.check(&good, DEADLINE).await.expect("again");
}

/// Clause 3: after `Ok` every new connection gets the new answer, at once.
pub async fn ok_means_clients_see_it<R: Rig>() {
    let (rig, subject) = R::start().await;
    let mut generation = running(&subject).await;
    for round in 0..5 {
        let text = format!("answer-{round}");
        rig.switch(Answers(&text)).await;
        let next = subject.reload(DEADLINE).await.expect("reload");
        for connection in 0..50 {
            assert_eq!(rig.answer().await, text, "connection {connection}");
        }
        assert!(next.replaces(&generation), "{next:?} after {generation:?}");
        assert!(!next.workers.is_empty(), "{next:?} has no workers");
        let seen = running(&subject).await;
        assert_eq!(seen.workers, next.workers);
        assert_eq!(seen.master_pid, next.master_pid);
        generation = next;
    }
}

/// Clause 4, and the next good one works.
pub async fn a_rejection_keeps_serving<R: Rig>() {
    let (rig, subject) = R::start().await;
    rejects_and_recovers(&rig, &subject, Broken).await;
}

/// Clause 4, for what only loading shows.
pub async fn an_unloadable_configuration_keeps_serving<R: Rig>() {
    let (rig, subject) = R::start().await;
    rejects_and_recovers(&rig, &subject, Unloadable).await;
}

async fn rejects_and_recovers<R: Rig>(rig: &R, subject: &R::Subject, bad: Configuration<'_>) {
    let before = running(subject).await;
    rig.switch(bad).await;
    assert_rejected(subject.reload(DEADLINE).await);
    assert_eq!(rig.answer().await, "initial");
    assert_eq!(running(subject).await.workers, before.workers);
    rig.switch(Answers("better")).await;
    subject.reload(DEADLINE).await.expect("a good one");
    assert_eq!(rig.answer().await, "better");
}

/// Clause 5: not even when another configuration waits at the entry.
pub async fn starting_what_runs_changes_nothing<R: Rig>() {
    let (rig, subject) = R::start().await;
    let before = running(&subject).await;
    rig.switch(Answers("waiting")).await;
    let started = subject.start(DEADLINE).await.expect("start");
    assert_eq!(started, before);
    assert_eq!(rig.answer().await, "initial");
    assert_eq!(running(&subject).await, before);
}

/// Clause 5: `Ok` means that workers answer.
pub async fn starting_what_does_not_run_serves<R: Rig>() {
    let (rig, subject) = R::start().await;
    let before = running(&subject).await;
    rig.stop().await;
    rig.switch(Answers("started")).await;
    let started = subject.start(DEADLINE).await.expect("start");
    assert_eq!(rig.answer().await, "started");
    assert!(started.replaces(&before), "{started:?} after {before:?}");
    assert!(!started.workers.is_empty(), "{started:?} has no workers");
    assert_eq!(running(&subject).await.workers, started.workers);
}

/// Clause 5: nginx's words when it does not start, and nothing is left running.
pub async fn a_refused_start_is_told<R: Rig>() {
    let (rig, subject) = R::start().await;
    rig.stop().await;
    for bad in [Broken, Unloadable] {
        rig.switch(bad).await;
        assert_rejected(subject.start(DEADLINE).await);
        assert_eq!(subject.running().await.expect("look"), None, "{bad:?}");
    }
    rig.switch(Answers("better")).await;
    subject.start(DEADLINE).await.expect("a good one");
    assert_eq!(rig.answer().await, "better");
}

/// Clause 6, and what does not run cannot be reloaded.
pub async fn what_does_not_run_is_none<R: Rig>() {
    let (rig, subject) = R::start().await;
    assert!(!running(&subject).await.workers.is_empty());
    rig.stop().await;
    assert_eq!(subject.running().await.expect("look at what runs"), None);
    let reloaded = subject.reload(DEADLINE).await;
    assert!(
        matches!(reloaded, Err(ReloadError::NotRunning)),
        "{reloaded:?}"
    );
    assert_eq!(subject.running().await.expect("look at what runs"), None);
}

/// Clause 7, and it starts anew with what is in place then.
pub async fn stopped_is_gone_and_can_be_started<R: Rig>() {
    let (rig, subject) = R::start().await;
    let before = running(&subject).await;
    rig.switch(Answers("after")).await;
    subject.stop(DEADLINE).await.expect("stop");
    assert_eq!(subject.running().await.expect("look at what runs"), None);
    let started = subject.start(DEADLINE).await.expect("start");
    assert!(started.replaces(&before), "{started:?} after {before:?}");
    assert_eq!(rig.answer().await, "after");
}

/// Clause 7, for what ended before.
pub async fn stopping_what_does_not_run_is_done<R: Rig>() {
    let (rig, subject) = R::start().await;
    rig.stop().await;
    subject.stop(DEADLINE).await.expect("nothing to do");
    assert_eq!(subject.running().await.expect("look at what runs"), None);
}

/// Clause 8: whether it can be asked or not, the answer is true.
pub async fn what_quit_is_gone<R: Rig>() {
    let (rig, subject) = R::start().await;
    let before = running(&subject).await;
    let quit = subject.quit(DEADLINE).await.expect("ask it to quit");
    let after = subject.running().await.expect("look at what runs");
    assert_eq!(after.is_none(), quit, "{after:?}");
    if quit {
        let started = subject.start(DEADLINE).await.expect("start");
        assert!(started.replaces(&before), "{started:?} after {before:?}");
    }
    drop(rig);
}

/// Clause 9: whether there was anything to resume or not.
pub async fn what_goes_on_is_what_ran<R: Rig>() {
    let (rig, subject) = R::start().await;
    let before = running(&subject).await;
    rig.switch(Answers("waiting")).await;
    subject.resume().await.expect("nothing to resume");
    assert_eq!(running(&subject).await, before);
    assert_eq!(rig.answer().await, "initial");
    rig.stop().await;
    subject.resume().await.expect("nothing that runs");
    assert_eq!(subject.running().await.expect("look at what runs"), None);
}

/// Clause 10: whatever waits at the entry, and whether nginx runs or not.
pub async fn looking_ahead_disturbs_nobody<R: Rig>() {
    let (rig, subject) = R::start().await;
    let before = running(&subject).await;
    // It may be told or not that this one would not start.
    rig.switch(Broken).await;
    let told = subject.would_start(DEADLINE).await;
    assert!(
        matches!(told, Ok(()) | Err(ReloadError::WouldNotStart { .. })),
        "{told:?}"
    );
    rig.switch(Answers("waiting")).await;
    subject.would_start(DEADLINE).await.expect("a good one");
    assert_eq!(rig.answer().await, "initial");
    assert_eq!(running(&subject).await, before);
    rig.stop().await;
    subject.would_start(DEADLINE).await.expect("a good one");
    assert_eq!(subject.running().await.expect("look at what runs"), None);
}

//! A new key, lost and killed at every step.

use bytes::Bytes;
use nxmesh_core::{
    memory::Opening,
    seal::SessionKey,
    wire::{KeyOffer, KeyRefusal},
};

use super::*;

fn second() -> KeyOffer {
    KeyOffer {
        key_id: "2".to_owned(),
        session_key: Bytes::from_static(&[8; 32]),
    }
}

/// The keys on the agent's disk.
fn on_disk(folder: &Path) -> (String, Option<String>) {
    let known = identity_store(folder).load().unwrap().unwrap();
    (known.credentials.key_id, known.next.map(|it| it.key_id))
}

fn both() -> (String, Option<String>) {
    ("1".to_owned(), Some("2".to_owned()))
}

impl Rig {
    /// The next opening of a stream, which is signed with the key `id`.
    async fn opening_with(&mut self, id: &str) -> Opening {
        let opening = match timeout(LONG, self.master.accept()).await.unwrap().unwrap() {
            Incoming::Session(opening) => opening,
            other => panic!("{other:?}"),
        };
        let Credentials {
            key_id,
            session_key,
            ..
        } = &opening.credentials;
        assert_eq!(key_id, id);
        let secret = if id == "1" { 7 } else { 8 };
        assert_eq!(*session_key, SessionKey::new([secret; 32]));
        opening
    }

    /// A session with the key `id`, welcomed by a master that takes `only` that.
    async fn session_with(&mut self, id: &str, only: &str) -> MasterSession {
        let mut session = self.opening_with(id).await.accept();
        heard(&mut session).await;
        let response = RegistrationResponse {
            protocol: 1,
            key_id: only.to_owned(),
            ..RegistrationResponse::default()
        };
        say(&mut session, Payload::RegisterResponse(response)).await;
        self.reached(ConnectionState::Ready).await;
        session
    }

    /// A session in which the second key was offered.
    async fn offered(&mut self) -> MasterSession {
        let mut session = self.session_with("1", "1").await;
        say(&mut session, Payload::KeyOffer(second())).await;
        session
    }

    /// Ends without a goodbye, as by `kill -9`.
    async fn kill(mut self) {
        self.running.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_offered_key_is_stored_and_used_at_once_and_then_the_old_one_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    let begun = Instant::now();
    let session = rig.offered().await;
    let opening = rig.opening_with("2").await;
    // A goodbye that is not answered takes a second, a pause would take more.
    assert!(begun.elapsed() <= Duration::from_secs(1));
    assert_eq!(on_disk(folder.path()), both());
    drop(session);
    let mut session = opening.accept();
    heard(&mut session).await;
    let response = RegistrationResponse {
        protocol: 1,
        key_id: "2".to_owned(),
        ..RegistrationResponse::default()
    };
    say(&mut session, Payload::RegisterResponse(response)).await;
    rig.reached(ConnectionState::Ready).await;
    assert_eq!(on_disk(folder.path()), ("2".to_owned(), None));
    session.abort();
    rig.session_with("2", "2").await;
    rig.kill().await;
    let mut rig = Rig::start(folder.path());
    rig.session_with("2", "2").await;
}

/// While the master takes both, both are kept.
#[tokio::test(start_paused = true)]
async fn the_old_key_is_kept_until_the_master_takes_it_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    drop(rig.offered().await);
    for only in ["", "", "another"] {
        rig.session_with("2", only).await.abort();
        assert_eq!(on_disk(folder.path()), both());
    }
    rig.session_with("2", "2").await;
    assert_eq!(on_disk(folder.path()), ("2".to_owned(), None));
}

/// The reply that would tell that the new key is known, or the welcome, or all
/// of the agent is lost: the new key is tried again.
#[tokio::test(start_paused = true)]
async fn what_is_lost_after_the_key_was_stored_is_tried_again_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    drop(rig.offered().await);
    // The opening is not answered.
    drop(rig.opening_with("2").await);
    // No welcome comes.
    let mut session = rig.opening_with("2").await.accept();
    heard(&mut session).await;
    session.abort();
    assert_eq!(on_disk(folder.path()), both());
    rig.opening_with("2").await;
    rig.kill().await;

    let mut rig = Rig::start(folder.path());
    let mut session = rig.opening_with("2").await.accept();
    heard(&mut session).await;
    rig.kill().await;

    let mut rig = Rig::start(folder.path());
    rig.session_with("2", "2").await;
    assert_eq!(on_disk(folder.path()), ("2".to_owned(), None));
}

/// Killed at any moment after the offer was sent, it comes back with a key that
/// the master takes.
#[tokio::test(start_paused = true)]
async fn killed_while_it_stores_the_key_it_has_one_of_the_two() {
    for turns in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig::start(folder.path());
        let _session = rig.offered().await;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        // What the disk has at this moment is what it would be killed with.
        let left = tempfile::tempdir().unwrap();
        for file in ["identity", "connection-sequence"] {
            std::fs::copy(folder.path().join(file), left.path().join(file)).unwrap();
        }
        let (current, next) = on_disk(left.path());
        assert_eq!(current, "1");
        let mut rig = Rig::start(left.path());
        if next.is_none() {
            // It was not there in time and is offered again.
            drop(rig.offered().await);
        }
        rig.session_with("2", "2").await;
        assert_eq!(on_disk(left.path()), ("2".to_owned(), None));
    }
}

/// A master that lost the key, or took it back, is reached with the one before.
#[tokio::test(start_paused = true)]
async fn a_key_the_master_does_not_know_is_no_lock_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    drop(rig.offered().await);
    for only in ["", "1"] {
        let refused = Instant::now();
        rig.opening_with("2").await.refuse("not known");
        rig.session_with("1", only).await.abort();
        assert!(refused.elapsed() < Duration::from_secs(61), "both at once");
    }
    // Told that only the first is taken, it forgets the other.
    assert_eq!(on_disk(folder.path()), ("1".to_owned(), None));
    rig.opening_with("1").await.refuse("removed");
    rig.reached(ConnectionState::Error).await;
    rig.opening_with("1").await;
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_session_are_signed_with_the_key_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    drop(rig.offered().await);
    let newest = called(&mut rig).await;
    assert_eq!(newest.credentials.key_id, "2");
    newest.refuse("not known");
    let before = called(&mut rig).await;
    assert_eq!(before.credentials.key_id, "1");
    before.accept();
}

/// Refused with both keys it asks seldom, with both.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_both_keys_is_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    drop(rig.offered().await);
    for _ in 0..3 {
        rig.opening_with("2").await.refuse("in quarantine");
        rig.opening_with("1").await.refuse("in quarantine");
        rig.reached(ConnectionState::Error).await;
        let refused = Instant::now();
        rig.reached(ConnectionState::Connect).await;
        assert!(refused.elapsed() >= Duration::from_secs(30));
    }
    assert_eq!(on_disk(folder.path()), both());
}

/// The same key again makes no hurry: a master that offers what it does not take
/// is asked with growing pauses.
#[tokio::test(start_paused = true)]
async fn the_same_offer_again_is_tried_again_with_pauses() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    drop(rig.offered().await);
    for round in 1..=4 {
        rig.opening_with("2").await.refuse("not known");
        let mut session = rig.session_with("1", "").await;
        say(&mut session, Payload::KeyOffer(second())).await;
        drop(session);
        let status = rig.reached(ConnectionState::Reconnect).await;
        assert_eq!(status.connection.failures, round);
    }
    rig.session_with("2", "2").await;
}

/// A newer offer takes the place of one that was not used.
#[tokio::test(start_paused = true)]
async fn another_offer_replaces_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    drop(rig.offered().await);
    rig.opening_with("2").await.refuse("taken back");
    let mut session = rig.session_with("1", "").await;
    let third = KeyOffer {
        key_id: "3".to_owned(),
        ..second()
    };
    say(&mut session, Payload::KeyOffer(third)).await;
    drop(session);
    rig.session_with("3", "3").await;
    assert_eq!(on_disk(folder.path()), ("3".to_owned(), None));
}

/// What cannot be stored or used is told, and the session goes on.
#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_kept_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(folder.path());
    let mut session = rig.session_with("1", "1").await;
    let offer = |key_id: &str, secret: &'static [u8]| KeyOffer {
        key_id: key_id.to_owned(),
        session_key: Bytes::from_static(secret),
    };
    for (offer, reason) in [
        (offer("", &[8; 32]), "id"),
        (offer("two words", &[8; 32]), "id"),
        (offer("2", &[8; 31]), "secret"),
        (offer("1", &[8; 32]), "in use already"),
    ] {
        say(&mut session, Payload::KeyOffer(offer.clone())).await;
        let refused = refusal(&mut session).await;
        assert_eq!(refused.key_id, offer.key_id);
        assert!(refused.reason.contains(reason), "{refused:?}");
    }
    // The place it is to be put aside is taken.
    let aside = folder.path().join("identity.new");
    std::fs::create_dir(&aside).unwrap();
    say(&mut session, Payload::KeyOffer(second())).await;
    let refused = refusal(&mut session).await;
    assert!(refused.reason.contains("could not write"), "{refused:?}");
    assert_eq!(on_disk(folder.path()), ("1".to_owned(), None));
    std::fs::remove_dir(&aside).unwrap();
    say(&mut session, Payload::KeyOffer(second())).await;
    drop(session);
    rig.session_with("2", "2").await;
}

async fn refusal(session: &mut MasterSession) -> KeyRefusal {
    loop {
        match heard(session).await {
            agent_message::Payload::KeyRefusal(refusal) => return refusal,
            agent_message::Payload::Health(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

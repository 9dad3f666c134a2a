//! Clause 8: bootstrap tokens.

use futures_util::future::join_all;

use super::*;
use crate::contract::storage::{BootstrapToken, TokenOwner, TokenUse};

fn owner(install: u32) -> TokenOwner {
    TokenOwner {
        install_id: format!("install-{install}"),
        agent: sample::agent_id(install),
    }
}

async fn add(storage: &impl Storage, token: &BootstrapToken) {
    let mut unit = begin(storage).await;
    unit.access().add_token(token).await.expect("add a token");
    commit(unit).await;
}

async fn use_token(
    storage: &impl Storage,
    token: &BootstrapToken,
    owner: &TokenOwner,
    now: u64,
) -> TokenUse {
    let mut unit = begin(storage).await;
    let used = unit.access().use_token(&token.digest, owner, now).await;
    commit(unit).await;
    used.expect("use a token")
}

fn used_by(token: &BootstrapToken, owner: &TokenOwner) -> BootstrapToken {
    BootstrapToken {
        used_by: Some(owner.clone()),
        ..token.clone()
    }
}

/// The first install gets it; again, it gets the same identity; others do not.
pub async fn a_token_admits_one_install<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let token = sample::bootstrap_token("secret");
    let other = sample::bootstrap_token("other");
    let used = use_token(&storage, &token, &owner(1), 1_500).await;
    assert_eq!(used, TokenUse::Unknown);
    add(&storage, &token).await;
    add(&storage, &other).await;
    let used = use_token(&storage, &token, &owner(1), 1_500).await;
    assert_eq!(used, TokenUse::Fresh(used_by(&token, &owner(1))));
    let another_identity = TokenOwner {
        agent: sample::agent_id(9),
        ..owner(1)
    };
    for now in [1_500, 1_999] {
        let used = use_token(&storage, &token, &another_identity, now).await;
        assert_eq!(used, TokenUse::Again(used_by(&token, &owner(1))));
        let used = use_token(&storage, &token, &owner(2), now).await;
        assert_eq!(used, TokenUse::UsedByAnother);
    }
    let used = use_token(&storage, &other, &owner(2), 1_500).await;
    assert_eq!(used, TokenUse::Fresh(used_by(&other, &owner(2))));
}

/// From `expires_at` on it admits nobody, not even the install that used it.
pub async fn an_expired_token_admits_nobody<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let used = sample::bootstrap_token("used");
    let unused = sample::bootstrap_token("unused");
    add(&storage, &used).await;
    add(&storage, &unused).await;
    let fresh = use_token(&storage, &used, &owner(1), 1_999).await;
    assert!(matches!(fresh, TokenUse::Fresh(_)), "{fresh:?}");
    for now in [2_000, 2_001, 1 << 50] {
        for (token, owner) in [(&used, owner(1)), (&used, owner(2)), (&unused, owner(1))] {
            let late = use_token(&storage, token, &owner, now).await;
            assert_eq!(late, TokenUse::Expired, "{owner:?} at {now}");
        }
    }
}

/// An enrolment that fails later gives the token back.
pub async fn a_token_use_is_undone_with_its_unit<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let token = sample::bootstrap_token("secret");
    add(&storage, &token).await;
    let mut unit = begin(&storage).await;
    let first = owner(1);
    let used = unit.access().use_token(&token.digest, &first, 1_500).await;
    assert!(matches!(used, Ok(TokenUse::Fresh(_))), "{used:?}");
    drop(unit);
    let used = use_token(&storage, &token, &owner(2), 1_500).await;
    assert_eq!(used, TokenUse::Fresh(used_by(&token, &owner(2))));
}

/// Of many installs at once one gets it.
pub async fn one_of_many_racing_installs_gets_the_token<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let token = sample::bootstrap_token("secret");
    add(&storage, &token).await;
    let installs = (0..20).map(|install| {
        let (storage, token) = (&storage, &token);
        async move {
            loop {
                match try_token(storage, token, &owner(install)).await {
                    Err(error) if error.is_retryable() => {
                        super::super::patience::step_aside().await;
                    }
                    done => return done.expect("use a token"),
                }
            }
        }
    });
    let uses = patiently("twenty installs with one token", join_all(installs)).await;
    let is_fresh = |used: &&TokenUse| matches!(used, TokenUse::Fresh(_));
    assert_eq!(uses.iter().filter(is_fresh).count(), 1, "{uses:?}");
    let others = uses.iter().filter(|used| **used == TokenUse::UsedByAnother);
    assert_eq!(others.count(), 19, "{uses:?}");
}

async fn try_token(
    storage: &impl Storage,
    token: &BootstrapToken,
    owner: &TokenOwner,
) -> Result<TokenUse, StorageError> {
    let mut unit = storage.begin().await?;
    let used = unit.access().use_token(&token.digest, owner, 1_500).await?;
    for _ in 0..3 {
        super::super::patience::step_aside().await;
    }
    unit.commit().await?;
    Ok(used)
}

/// Tokens whose time is over go, others stay.
pub async fn expired_tokens_are_removed<R: Rig>() {
    let (_rig, storage) = start::<R>().await;
    let tokens = ["a", "b", "c"].map(sample::bootstrap_token);
    for (token, expires_at) in tokens.iter().zip([2_000, 3_000, 9_000]) {
        let token = BootstrapToken {
            expires_at,
            ..token.clone()
        };
        add(&storage, &token).await;
    }
    let mut unit = begin(&storage).await;
    let removed = unit.access().remove_expired_tokens(5_000).await;
    assert_eq!(removed.unwrap(), 2);
    commit(unit).await;
    for (token, expected) in tokens.iter().zip([true, true, false]) {
        let used = use_token(&storage, token, &owner(1), 5_000).await;
        assert_eq!(used == TokenUse::Unknown, expected, "{used:?}");
    }
}

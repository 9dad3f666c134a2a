//! The keys the agent signs with: the one in use, and while that is changed the
//! one to take its place.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nxmesh_core::{
    contract::transport::{Credentials, TransportError},
    seal::SessionKey,
    wire::KeyOffer,
};
use tracing::{info, warn};

use crate::{
    apply::chain,
    identity::{Identity, IdentityError, IdentityStore},
};

/// The keys, as they are on disk.
#[derive(Debug)]
pub(crate) struct Keyring {
    store: IdentityStore,
    held: Mutex<Held>,
}

#[derive(Debug, Clone)]
struct Held {
    current: Credentials,
    next: Option<Credentials>,
}

/// Why an offered key cannot be used. The agent goes on with the one it has.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the key has no usable {0}")]
    Unusable(&'static str),
    #[error("the key is in use already")]
    InUse,
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the work on it failed")]
    Internal(#[from] tokio::task::JoinError),
}

impl Keyring {
    pub(crate) fn new(identity: &Identity, store: IdentityStore) -> Self {
        let held = Held {
            current: identity.credentials.clone(),
            next: identity.next.clone(),
        };
        Self {
            store,
            held: Mutex::new(held),
        }
    }

    /// Calls the master with the newest key; with the one before if that is refused,
    /// as the master may have lost it or taken it back.
    pub(crate) async fn using<T, F>(
        &self,
        call: impl Fn(Credentials) -> F,
    ) -> Result<T, TransportError>
    where
        F: Future<Output = Result<T, TransportError>>,
    {
        let Held { current, next } = self.held().clone();
        let Some(next) = next else {
            return call(current).await;
        };
        match call(next).await {
            Err(TransportError::Refused { reason }) => {
                warn!(
                    reason,
                    "the master refuses the key it offered; the one before is tried"
                );
                call(current).await
            }
            done => done,
        }
    }

    /// Takes a key that the master offers; it is on disk when this returns, to be
    /// used from the next connection on. Says whether it is news.
    pub(crate) async fn take(&self, offer: &KeyOffer) -> Result<bool, KeyError> {
        let current = self.held().current.clone();
        let KeyOffer {
            key_id,
            session_key,
        } = offer;
        // It goes into a header.
        if !(1..=128).contains(&key_id.len()) || !key_id.bytes().all(|it| it.is_ascii_graphic()) {
            return Err(KeyError::Unusable("id"));
        }
        if *key_id == current.key_id {
            return Err(KeyError::InUse);
        }
        let next = Credentials {
            agent_id: current.agent_id,
            key_id: key_id.clone(),
            session_key: SessionKey::from_slice(session_key).ok_or(KeyError::Unusable("secret"))?,
        };
        let (store, kept) = (self.store.clone(), next.clone());
        let is_news = tokio::task::spawn_blocking(move || store.keep_next(kept)).await??;
        self.held().next = Some(next);
        Ok(is_news)
    }

    /// Forgets every key but `key_id`, the only one the master takes. Unless that
    /// can be stored both stay, which does no harm.
    pub(crate) async fn settle(&self, key_id: &str) {
        if self.held().next.is_none() {
            return;
        }
        let (store, only) = (self.store.clone(), key_id.to_owned());
        let settled = tokio::task::spawn_blocking(move || store.settle(&only)).await;
        match settled
            .map_err(KeyError::from)
            .and_then(|it| it.map_err(KeyError::from))
        {
            Ok(true) => {
                let mut held = self.held();
                if let Some(next) = held.next.take()
                    && next.key_id == key_id
                {
                    held.current = next;
                }
                info!(key = key_id, "the master takes this key alone from now on");
            }
            Ok(false) => {}
            Err(error) => warn!(reason = chain(&error), "an old key could not be forgotten"),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

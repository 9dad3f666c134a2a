//! The authorities an agent trusts: pinned at the enrolment, renewed by what
//! its master announces.

use crate::{
    identity::{IdentityError, IdentityStore},
    transport::{Trust, TrustError},
};

/// What is trusted, on disk and for the next connection.
#[derive(Debug)]
pub(crate) struct Pins {
    pub(crate) trust: Trust,
    pub(crate) store: IdentityStore,
    /// Passed by the operator, and trusted beside whatever is announced.
    pub(crate) given: Option<String>,
}

/// Why an announcement was not taken. What was trusted before still is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PinError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the work on it failed")]
    Internal(#[from] tokio::task::JoinError),
}

impl Pins {
    /// Takes over what the master announces, if it is news; returns whether it
    /// was. It is on disk before it counts.
    pub(crate) async fn learn(&self, announced: &str) -> Result<bool, PinError> {
        if announced.trim().is_empty() {
            return Ok(false);
        }
        let trusted = match &self.given {
            Some(given) => format!("{announced}\n{given}"),
            None => announced.to_owned(),
        };
        let authorities = self.trust.examine(&trusted)?;
        let (store, pem) = (self.store.clone(), announced.to_owned());
        let changed = tokio::task::spawn_blocking(move || store.pin(pem)).await??;
        if changed {
            self.trust.replace(authorities);
        }
        Ok(changed)
    }
}

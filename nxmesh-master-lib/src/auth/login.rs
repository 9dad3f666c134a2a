//! Logging in: throttle, look the user up, check the password, issue a token.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use nxmesh_core::{
    contract::storage::{Storage, StorageError},
    model::value::UserName,
};
use secrecy::SecretString;
use tracing::{info, warn};

use super::{
    AccessTokens, Identity, IssuedToken, PasswordError, Passwords, Role, TokenError,
    throttle::Throttle,
};

/// Why a login did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// No such user, or another password; which of the two is not told.
    #[error("the user name or the password is wrong")]
    Wrong,
    /// Too many failures.
    #[error("too many failed attempts; try again in {} seconds", wait.as_secs().max(1))]
    Throttled {
        /// Until when nothing is checked.
        wait: Duration,
    },
    /// The users could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The password could not be checked.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// No token could be issued.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Checks who logs in.
#[derive(Debug)]
pub(crate) struct Logins {
    storage: Arc<dyn Storage>,
    passwords: Passwords,
    tokens: Arc<AccessTokens>,
    throttle: Throttle,
}

impl Logins {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        passwords: Passwords,
        tokens: Arc<AccessTokens>,
    ) -> Self {
        Self {
            storage,
            passwords,
            tokens,
            throttle: Throttle::default(),
        }
    }

    /// Exchanges a password for an access token.
    pub(crate) async fn log_in(
        &self,
        name: &str,
        password: SecretString,
        from: IpAddr,
    ) -> Result<IssuedToken, LoginError> {
        // A text that is no user name is an unknown user, and no key of a map.
        let name = name.parse::<UserName>().ok();
        let counted = name.as_ref().map_or("", UserName::as_str);
        if let Err(wait) = self.throttle.admit(counted, from, Instant::now()) {
            warn!(user = counted, %from, wait_s = wait.as_secs(), "login throttled");
            return Err(LoginError::Throttled { wait });
        }
        let user = match &name {
            Some(name) => self.storage.read().await?.access().user(name).await?,
            None => None,
        };
        let (user, hash) = user.map(|user| (user.name, user.password_hash)).unzip();
        let right = self.passwords.verify(password, hash).await?;
        let Some(user) = user.filter(|_| right) else {
            warn!(user = counted, %from, "login refused");
            return Err(LoginError::Wrong);
        };
        self.throttle.succeeded(counted, from);
        info!(%user, %from, "logged in");
        let identity = Identity {
            user,
            role: Role::Admin,
        };
        Ok(self.tokens.issue(&identity)?)
    }
}

//! Password hashing, off the async threads and bounded.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// Memory in KiB, passes and lanes of argon2id (OWASP Password Storage Cheat
/// Sheet, "Argon2id": m=19456, t=2, p=1).
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many hashes are computed at the same time; bounds memory to 80 MiB.
const PARALLEL: usize = 4;

/// Shortest and longest password taken, in bytes. The lower bound is for users
/// without a second factor (NIST SP 800-63B-4, 3.1.1.2 asks for 15 there; 12 is
/// our floor), the upper one keeps hashing cheap.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=1024;

/// Why a password could not be set or checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too short or too long.
    #[error(
        "a password has {low} to {high} bytes, for example four random words",
        low = LENGTH.start(), high = LENGTH.end()
    )]
    Length,
    /// The hash that is stored is not one of ours.
    #[error("the stored password hash cannot be read")]
    StoredHash,
    /// Hashing failed: no memory or no randomness.
    #[error("could not hash a password")]
    Hashing,
}

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    /// The hash of no password: what unknown users are checked against, so
    /// that they take as long as known ones.
    decoy: Arc<str>,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self, PasswordError> {
        let salt = random::<16>()?;
        let output = random::<32>()?;
        let decoy = format!(
            "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${}",
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(output)
        );
        Ok(Self {
            permits: Arc::new(Semaphore::new(PARALLEL)),
            decoy: decoy.into(),
        })
    }

    /// Hashes a new password into the PHC string format.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        if !LENGTH.contains(&password.expose_secret().len()) {
            return Err(PasswordError::Length);
        }
        self.blocking(move || {
            argon2id()?
                .hash_password(password.expose_secret().as_bytes())
                .map(|hash| hash.to_string())
                .map_err(|_| PasswordError::Hashing)
        })
        .await
    }

    /// Whether `password` is the one that was hashed; without a hash (an unknown
    /// user) it takes the same time and is never right.
    pub(crate) async fn verify(
        &self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        if password.expose_secret().len() > *LENGTH.end() {
            return Ok(false);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.to_string());
        self.blocking(move || {
            let hash = PasswordHash::new(&hash).map_err(|_| PasswordError::StoredHash)?;
            let right = argon2id()?
                .verify_password(password.expose_secret().as_bytes(), &hash)
                .is_ok();
            Ok(right && known)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| PasswordError::Hashing)?;
        tokio::task::spawn_blocking(move || {
            // Held until the work is done, even if nobody waits for it any more.
            let _permit = permit;
            work()
        })
        .await
        .map_err(|_| PasswordError::Hashing)?
    }
}

fn argon2id() -> Result<Argon2<'static>, PasswordError> {
    Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
        .map_err(|_| PasswordError::Hashing)
}

fn random<const N: usize>() -> Result<[u8; N], PasswordError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| PasswordError::Hashing)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_knows_its_password_and_no_other() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords
            .hash("correct horse battery".into())
            .await
            .unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let verify = |password: &str, hash: Option<&str>| {
            passwords.verify(password.into(), hash.map(str::to_owned))
        };
        assert!(verify("correct horse battery", Some(&hash)).await.unwrap());
        assert!(!verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!verify("correct horse battery", None).await.unwrap());
        assert!(verify("x", Some("md5")).await.is_err());
    }

    #[test]
    fn the_decoy_costs_what_a_hash_costs() {
        let passwords = Passwords::new().unwrap();
        let decoy = PasswordHash::new(&passwords.decoy).unwrap();
        let params = Params::try_from(&decoy).unwrap();
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (MEMORY_KIB, PASSES, LANES)
        );
        assert_eq!(decoy.hash.unwrap().len(), 32);
    }

    #[tokio::test]
    async fn short_passwords_are_refused() {
        let passwords = Passwords::new().unwrap();
        let error = passwords.hash("short".into()).await.unwrap_err();
        assert!(error.to_string().contains("12 to 1024 bytes"), "{error}");
    }
}

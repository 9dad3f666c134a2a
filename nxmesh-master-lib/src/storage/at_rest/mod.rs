//! Encryption of secrets at rest.

mod key_file;

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
};
use zeroize::Zeroizing;

pub use key_file::KeyFileError;

/// The first byte of what [`AtRestKey::seal`] returns, should the form ever change.
const FORM: u8 = 1;

/// The key that encrypts private keys and session keys in the database
/// (AES-256-GCM, NIST SP 800-38D). Wiped when dropped; shows as `***`.
///
/// Without it the secrets in a database cannot be read again, so it is backed
/// up like the database, but apart from it.
#[derive(Clone)]
pub struct AtRestKey(Zeroizing<[u8; Self::BYTES]>);

impl AtRestKey {
    /// The length of the key material.
    pub const BYTES: usize = 32;

    /// Takes key material from a source of secure randomness.
    #[must_use]
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Encrypts `secret` for one `place`, for example one column of one row:
    /// it cannot be opened as the content of another place.
    ///
    /// # Errors
    ///
    /// [`SealError::NotSealed`] when the system has no randomness to give.
    pub fn seal(&self, place: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut text = secret.to_vec();
        let nonce = self
            .cipher()
            .and_then(|cipher| cipher.seal_in_place_append_tag(Aad::from(place), &mut text))
            .map_err(|Unspecified| SealError::NotSealed)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + text.len());
        sealed.push(FORM);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Decrypts what [`seal`](Self::seal) made for `place`.
    ///
    /// # Errors
    ///
    /// [`SealError::NotOpened`] unless `sealed` was made with this key for
    /// this place and is unaltered.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, text) = match sealed {
            [FORM, rest @ ..] => rest
                .split_first_chunk::<NONCE_LEN>()
                .ok_or(SealError::NotOpened)?,
            _ => return Err(SealError::NotOpened),
        };
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .cipher()
            .and_then(|cipher| cipher.open_in_place(nonce, Aad::from(place), &mut text))
            .map_err(|Unspecified| SealError::NotOpened)?
            .len();
        text.truncate(length);
        Ok(text)
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, Unspecified> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.0[..])
    }
}

impl fmt::Debug for AtRestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a secret could not be encrypted or decrypted. Says nothing about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The system's source of randomness failed.
    #[error("it could not be encrypted")]
    NotSealed,
    /// Another key, another place, or altered bytes.
    #[error("it was encrypted with another key or for another place, or was altered")]
    NotOpened,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_its_key_in_its_place_only() {
        let key = AtRestKey::new([7; 32]);
        let sealed = key.seal("agents/1/key", b"secret").unwrap();
        assert_eq!(&**key.open("agents/1/key", &sealed).unwrap(), b"secret");
        assert_eq!(
            key.open("agents/2/key", &sealed),
            Err(SealError::NotOpened),
            "another place"
        );
        let other = AtRestKey::new([8; 32]);
        assert_eq!(
            other.open("agents/1/key", &sealed),
            Err(SealError::NotOpened),
            "another key"
        );
    }

    #[test]
    fn altered_or_cut_bytes_do_not_open() {
        let key = AtRestKey::new([7; 32]);
        let sealed = key.seal("place", b"secret").unwrap();
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert!(key.open("place", &altered).is_err(), "byte {index}");
            assert!(key.open("place", &sealed[..index]).is_err(), "cut {index}");
        }
    }

    #[test]
    fn sealing_twice_gives_other_bytes() {
        let key = AtRestKey::new([7; 32]);
        let seal = || key.seal("place", b"secret").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", AtRestKey::new([65; 32])), "***");
    }
}

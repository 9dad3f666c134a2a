//! Signatures of calls, carried in headers.
//!
//! The signature is HMAC-SHA256 over the method's path, the other headers and
//! the digest of the body. A master refuses timestamps more than five minutes
//! off and nonces it has seen, on unary calls; the opening of a stream is
//! fresh by the connection sequence inside it, so a skewed clock breaks none.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};

use super::SessionKey;
use crate::{digest::Digest, model::AgentId};

/// Header with the agent's id.
pub const AGENT_ID: &str = "x-agent-id";
/// Header with the id of the key that signs.
pub const KEY_ID: &str = "x-key-id";
/// Header with Unix milliseconds on the agent's clock.
pub const TIMESTAMP: &str = "x-timestamp";
/// Header with 16 or more random characters, new for each call.
pub const NONCE: &str = "x-nonce";
/// Header with the signature in base64 without padding.
pub const SIGNATURE: &str = "x-signature";
/// Header of the answer to a stream's opening: the nonce the session's seals are bound to.
pub const SESSION_NONCE: &str = "x-session-nonce";

/// Header of the refusal of a call whose timestamp is too far off: Unix
/// milliseconds on the master's clock, to date the next call by.
pub const MASTER_TIME: &str = "x-master-time";

/// How far a timestamp may be off on a unary call, in milliseconds.
pub const MAX_SKEW_MS: u64 = 5 * 60 * 1000;

/// The headers of a signed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    /// [`AGENT_ID`]
    pub agent_id: AgentId,
    /// [`KEY_ID`]
    pub key_id: String,
    /// [`TIMESTAMP`]
    pub timestamp: u64,
    /// [`NONCE`]
    pub nonce: String,
    /// [`SIGNATURE`]
    pub signature: String,
}

/// What is wrong with the headers of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header is not there or malformed.
    #[error("header {0} is missing or malformed")]
    Header(&'static str),
    /// The signature was not made with the agent's key over this call.
    #[error("the signature does not match")]
    Mismatch,
    /// The timestamp is more than five minutes off.
    #[error("the timestamp is more than five minutes off the master's clock")]
    Skewed,
}

impl SignedHeaders {
    /// Signs a call of `method` (its path, `/package.Service/Method`).
    #[must_use]
    pub fn sign(
        key: &SessionKey,
        agent_id: AgentId,
        key_id: impl Into<String>,
        timestamp: u64,
        nonce: impl Into<String>,
        method: &str,
        body: &[u8],
    ) -> Self {
        let mut headers = Self {
            agent_id,
            key_id: key_id.into(),
            timestamp,
            nonce: nonce.into(),
            signature: String::new(),
        };
        headers.signature = BASE64.encode(headers.mac(key, method, body));
        headers
    }

    /// The headers as name and value.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, String); 5] {
        [
            (AGENT_ID, self.agent_id.to_string()),
            (KEY_ID, self.key_id.clone()),
            (TIMESTAMP, self.timestamp.to_string()),
            (NONCE, self.nonce.clone()),
            (SIGNATURE, self.signature.clone()),
        ]
    }

    /// Reads the headers of a call through `header`, which looks one up by name.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Header`]
    pub fn read<'a>(
        header: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Result<Self, SignatureError> {
        let get = |name: &'static str| {
            header(name)
                .filter(|value| {
                    matches!(value.len(), 1..=128)
                        && value.bytes().all(|byte| byte.is_ascii_graphic())
                })
                .ok_or(SignatureError::Header(name))
        };
        let nonce = get(NONCE)?;
        if nonce.len() < 16 {
            return Err(SignatureError::Header(NONCE));
        }
        Ok(Self {
            agent_id: get(AGENT_ID)?
                .parse()
                .map_err(|_| SignatureError::Header(AGENT_ID))?,
            key_id: get(KEY_ID)?.to_owned(),
            timestamp: get(TIMESTAMP)?
                .parse()
                .map_err(|_| SignatureError::Header(TIMESTAMP))?,
            nonce: nonce.to_owned(),
            signature: get(SIGNATURE)?.to_owned(),
        })
    }

    /// Checks the signature.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Mismatch`]
    pub fn verify(
        &self,
        key: &SessionKey,
        method: &str,
        body: &[u8],
    ) -> Result<(), SignatureError> {
        let tag = BASE64
            .decode(&self.signature)
            .map_err(|_| SignatureError::Mismatch)?;
        let digest = Digest::of(body);
        let timestamp = self.timestamp.to_be_bytes();
        if key.verifies(self.parts(method, &timestamp, &digest), &tag) {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }

    /// Checks that the timestamp is near `now` (Unix milliseconds).
    ///
    /// # Errors
    ///
    /// [`SignatureError::Skewed`]
    pub const fn verify_fresh(&self, now: u64) -> Result<(), SignatureError> {
        if self.timestamp.abs_diff(now) <= MAX_SKEW_MS {
            Ok(())
        } else {
            Err(SignatureError::Skewed)
        }
    }

    fn mac(&self, key: &SessionKey, method: &str, body: &[u8]) -> [u8; 32] {
        key.mac(self.parts(method, &self.timestamp.to_be_bytes(), &Digest::of(body)))
    }

    fn parts<'a>(
        &'a self,
        method: &'a str,
        timestamp: &'a [u8; 8],
        body: &'a Digest,
    ) -> [&'a [u8]; 7] {
        [
            b"nxmesh-call-1",
            method.as_bytes(),
            self.agent_id.as_str().as_bytes(),
            self.key_id.as_bytes(),
            timestamp,
            self.nonce.as_bytes(),
            body.as_bytes(),
        ]
    }
}

//! Access tokens: JWT (RFC 7519) signed with RS256, valid for 15 minutes.

use std::{fmt, sync::Arc, time::Duration};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use nxmesh_core::contract::clock::Clock;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Identity, Role};

/// How long an access token is valid.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
const ISSUER: &str = "nxmesh-master";
const AUDIENCE: &str = "nxmesh-api";

/// What a token says (RFC 7519, section 4.1).
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    role: Role,
    /// Unix seconds.
    iat: u64,
    /// Unix seconds.
    exp: u64,
    jti: String,
}

/// A token just issued.
#[derive(Clone)]
pub(crate) struct IssuedToken {
    /// For the `Authorization: Bearer` header.
    pub(crate) token: String,
    /// How long it is valid from now.
    pub(crate) expires_in: Duration,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// Why a token is not taken, or none can be issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Its time is over.
    #[error("the access token has expired; log in again")]
    Expired,
    /// Not signed by this master, or not meant for it.
    #[error("the access token is not valid here; log in again")]
    Invalid,
    /// The signing key cannot be used.
    #[error("could not {action} with the token signing key")]
    Key {
        /// What was attempted.
        action: &'static str,
        /// The library's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Issues and checks access tokens with one key pair.
pub(crate) struct AccessTokens {
    kid: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    public: JwkSet,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Generates an RSA key of 2048 bits in PKCS#8 PEM.
pub(crate) fn new_signing_key_pem() -> Result<Zeroizing<String>, TokenError> {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
        .map(|pair| Zeroizing::new(pair.serialize_pem()))
        .map_err(key_error("generate a key pair"))
}

impl AccessTokens {
    /// Takes an RSA private key in PEM.
    pub(crate) fn new(key_pem: &str, clock: Arc<dyn Clock>) -> Result<Self, TokenError> {
        let signing =
            EncodingKey::from_rsa_pem(key_pem.as_bytes()).map_err(key_error("be set up"))?;
        let mut public = Jwk::from_encoding_key(&signing, Algorithm::RS256)
            .map_err(key_error("derive the public key"))?;
        // RFC 7638: the key's name follows from the key.
        let kid = public
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(key_error("name the key"))?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let verifying =
            DecodingKey::from_jwk(&public).map_err(key_error("derive the public key"))?;
        Ok(Self {
            kid,
            signing,
            verifying,
            public: JwkSet { keys: vec![public] },
            clock,
        })
    }

    /// The public key, for `/.well-known/jwks.json` (RFC 7517).
    pub(crate) const fn public(&self) -> &JwkSet {
        &self.public
    }

    /// Issues a token.
    pub(crate) fn issue(&self, identity: &Identity) -> Result<IssuedToken, TokenError> {
        let now = self.now_s();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: identity.user.to_string(),
            role: identity.role,
            iat: now,
            exp: now + LIFETIME.as_secs(),
            jti: uuid::Uuid::new_v4().to_string(),
        };
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.kid.clone());
        let token = jsonwebtoken::encode(&header, &claims, &self.signing)
            .map_err(key_error("sign a token"))?;
        Ok(IssuedToken {
            token,
            expires_in: LIFETIME,
        })
    }

    /// Who a token stands for.
    pub(crate) fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Judged below, by the master's clock and without leeway.
        validation.validate_exp = false;
        let data = jsonwebtoken::decode::<Claims>(token, &self.verifying, &validation)
            .map_err(|_| TokenError::Invalid)?;
        if data.header.kid.as_deref() != Some(&self.kid) {
            return Err(TokenError::Invalid);
        }
        if data.claims.exp <= self.now_s() {
            return Err(TokenError::Expired);
        }
        Ok(Identity {
            user: data.claims.sub.parse().map_err(|_| TokenError::Invalid)?,
            role: data.claims.role,
        })
    }

    fn now_s(&self) -> u64 {
        self.clock.unix_millis() / 1000
    }
}

fn key_error<E: std::error::Error + Send + Sync + 'static>(
    action: &'static str,
) -> impl Fn(E) -> TokenError {
    move |source| TokenError::Key {
        action,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::LazyLock,
        time::{SystemTime, UNIX_EPOCH},
    };

    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    static KEY: LazyLock<Zeroizing<String>> = LazyLock::new(|| new_signing_key_pem().unwrap());

    #[derive(Debug)]
    struct At(u64);

    impl Clock for At {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_secs(self.0)
        }
    }

    fn tokens(at: u64) -> AccessTokens {
        AccessTokens::new(&KEY, Arc::new(At(at))).unwrap()
    }

    fn admin() -> Identity {
        Identity {
            user: "admin".parse().unwrap(),
            role: Role::Admin,
        }
    }

    #[test]
    fn a_token_is_valid_for_fifteen_minutes() {
        let token = tokens(1000).issue(&admin()).unwrap().token;
        assert_eq!(tokens(1000 + 899).verify(&token).unwrap(), admin());
        let error = tokens(1000 + 900).verify(&token).unwrap_err();
        assert!(matches!(error, TokenError::Expired), "{error}");
    }

    #[test]
    fn a_changed_or_foreign_token_is_refused() {
        let token = tokens(1000).issue(&admin()).unwrap().token;
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("not a JWT: {token}");
        };
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let other = URL_SAFE_NO_PAD.encode(r#"{"sub":"root"}"#);
        let foreign = AccessTokens::new(&new_signing_key_pem().unwrap(), Arc::new(At(1000)))
            .unwrap()
            .issue(&admin())
            .unwrap()
            .token;
        // A public key used as an HMAC secret is the classic confusion.
        let confused = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &Claims {
                iss: ISSUER.into(),
                aud: AUDIENCE.into(),
                sub: "admin".into(),
                role: Role::Admin,
                iat: 1000,
                exp: 2000,
                jti: String::new(),
            },
            &EncodingKey::from_secret(&serde_json::to_vec(tokens(1000).public()).unwrap()),
        )
        .unwrap();
        for bad in [
            String::new(),
            "a.b.c".to_owned(),
            format!("{none}.{claims}."),
            format!("{header}.{other}.{signature}"),
            foreign,
            confused,
        ] {
            let error = tokens(1000).verify(&bad).unwrap_err();
            assert!(matches!(error, TokenError::Invalid), "{bad}: {error}");
        }
    }

    #[test]
    fn the_published_key_has_no_private_part() {
        let text = serde_json::to_value(tokens(0).public()).unwrap();
        let key = text.pointer("/keys/0").unwrap().as_object().unwrap();
        let mut names: Vec<&str> = key.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
    }
}

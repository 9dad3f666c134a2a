//! An imported certificate with its private key.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use zeroize::Zeroizing;

use super::{Document, value::ValueError};
use crate::digest::Digest;

/// A certificate document.
pub type Certificate = Document<CertificateSpec>;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CertificateSpec {
    /// The chain in PEM, leaf first.
    pub certificate: CertificateChainPem,
    /// The private key in PEM.
    pub private_key: PrivateKeyPem,
}

/// A PEM chain of 1 to 10 certificates, leaf first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CertificateChainPem(String);

impl CertificateChainPem {
    const ERROR: ValueError = ValueError {
        rule: "a certificate is a PEM chain of 1 to 10 CERTIFICATE blocks, leaf first, 64k at most",
        example: "-----BEGIN CERTIFICATE-----…",
    };

    /// The object identifier of the leaf's type of key (RFC 5280, section 4.1.2.7), for example
    /// `1.2.840.10045.2.1` for elliptic curves, whichever the curve.
    #[must_use]
    pub fn key_type(&self) -> Option<String> {
        let leaf = self.leaf_der();
        let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).ok()?;
        Some(leaf.public_key().algorithm.algorithm.to_id_string())
    }

    /// Parses a chain and brings its PEM into one form.
    ///
    /// # Errors
    ///
    /// [`ValueError`] unless every block is an X.509 certificate.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        use rustls_pki_types::{CertificateDer, pem::PemObject as _};
        if text.len() > 64 << 10 {
            return Err(Self::ERROR);
        }
        let chain = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Self::ERROR)?;
        let valid = matches!(chain.len(), 1..=10)
            && chain
                .iter()
                .all(|der| x509_parser::parse_x509_certificate(der).is_ok());
        if !valid {
            return Err(Self::ERROR);
        }
        Ok(Self(
            chain
                .iter()
                .map(|der| pem_block("CERTIFICATE", der))
                .collect(),
        ))
    }

    /// The PEM text.
    #[must_use]
    pub fn as_pem(&self) -> &str {
        &self.0
    }

    /// The DER form of the leaf.
    #[must_use]
    pub fn leaf_der(&self) -> Vec<u8> {
        use rustls_pki_types::{CertificateDer, pem::PemObject as _};
        CertificateDer::from_pem_slice(self.0.as_bytes())
            .map(|der| der.to_vec())
            .unwrap_or_default()
    }

    /// SHA-256 over the leaf's DER form: what clients call its fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.leaf_der())
    }
}

impl<'de> Deserialize<'de> for CertificateChainPem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A private key in PEM. Wiped when dropped; shows as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKeyPem(Zeroizing<String>);

impl PrivateKeyPem {
    const ERROR: ValueError = ValueError {
        rule: "a private key is one unencrypted PEM block PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY, 16k at most",
        example: "-----BEGIN PRIVATE KEY-----…",
    };

    /// Parses a key and brings its PEM into one form.
    ///
    /// # Errors
    ///
    /// [`ValueError`] unless the text holds a private key. Whether it belongs
    /// to a certificate is checked where the two meet.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
        if text.len() > 16 << 10 {
            return Err(Self::ERROR);
        }
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| Self::ERROR)?;
        let label = match &key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            PrivateKeyDer::Pkcs8(_) => "PRIVATE KEY",
            _ => return Err(Self::ERROR),
        };
        Ok(Self(Zeroizing::new(pem_block(label, key.secret_der()))))
    }

    /// The PEM text. Handle with care: never log it.
    #[must_use]
    pub fn expose_pem(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// In canonical documents the key is present: they travel to agents over TLS
/// and rest encrypted. What people are shown goes through
/// [`Resource::redacted`](super::Resource::redacted).
impl Serialize for PrivateKeyPem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PrivateKeyPem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        Self::parse(&text).map_err(de::Error::custom)
    }
}

fn pem_block(label: &str, der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().map(|&byte| char::from(byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for CertificateChainPem {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CertificateChainPem".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        crate::schema::value(serde_json::json!("string"), Self::ERROR)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for PrivateKeyPem {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PrivateKeyPem".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        crate::schema::value(serde_json::json!("string"), Self::ERROR)
    }
}

//! The authority that signs the master's certificate.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{TlsError, certificate_error, not_before, succession};
use crate::data_dir::DataDir;

pub(super) const CERTIFICATE: &str = "ca.pem";
pub(super) const KEY: &str = "ca.key";
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A private authority: an EC P-256 key and its self-signed certificate.
pub(crate) struct Authority {
    pem: String,
    announced: String,
    vouchers: Vec<CertificateDer<'static>>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("pem", &self.pem)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the authority of a data folder, or founds it on the first start.
    pub(crate) fn open(data: &DataDir, now: SystemTime) -> Result<Self, TlsError> {
        succession::finish(data)?;
        let pem = data.read(CERTIFICATE)?;
        let key = data.read(KEY)?;
        let key = match (&key, &pem) {
            (Some(key), _) => {
                KeyPair::from_pem(key).map_err(certificate_error("read the authority's key"))?
            }
            (None, Some(_)) => {
                return Err(TlsError::KeyMissing {
                    certificate: data.file(CERTIFICATE).display().to_string(),
                    key: data.file(KEY).display().to_string(),
                });
            }
            (None, None) => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
                    .map_err(certificate_error("make the authority's key"))?;
                let text = zeroize::Zeroizing::new(key.serialize_pem());
                data.write_secret(KEY, &text)?;
                key
            }
        };
        let pem = match pem {
            Some(pem) => pem.to_string(),
            None => {
                let pem = self_signed(&key, now)?;
                data.write_public(CERTIFICATE, &pem)?;
                pem
            }
        };
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(certificate_error("read the authority's certificate"))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der)
            .map_err(certificate_error("read the authority's certificate"))?;
        if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return Err(certificate_error("use the authority")(
                "ca.pem and ca.key do not belong together",
            ));
        }
        let mut announced = pem.clone();
        if let Some(next) = data.read(succession::NEXT_CERTIFICATE)? {
            announced.push_str(&next);
        }
        let vouchers = data.read(succession::VOUCHERS)?;
        let vouchers = vouchers.as_deref().map_or("", String::as_str);
        Ok(Self {
            announced,
            vouchers: CertificateDer::pem_slice_iter(vouchers.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(certificate_error("read what predecessors vouch for"))?,
            issuer: Issuer::from_ca_cert_der(&der, key)
                .map_err(certificate_error("read the authority's certificate"))?,
            pem,
        })
    }

    /// The certificate, for those who are to trust it.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificates that agents are to trust: its own, and its successor's
    /// once there is one.
    pub(crate) fn announced(&self) -> &str {
        &self.announced
    }

    /// What leads from this authority back to its predecessors.
    pub(super) fn vouchers(&self) -> &[CertificateDer<'static>] {
        &self.vouchers
    }

    pub(super) const fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

fn self_signed(key: &KeyPair, now: SystemTime) -> Result<String, TlsError> {
    params(now)
        .self_signed(key)
        .map(|certificate| certificate.pem())
        .map_err(certificate_error("make the authority's certificate"))
}

/// What an authority's certificate says.
pub(super) fn params(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "NxMesh master CA");
    // Vouches for its successor, and so on.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = not_before(now).into();
    params.not_after = (now + LIFETIME).into();
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let first = Authority::open(&data, SystemTime::now()).unwrap();
        let again = Authority::open(&data, SystemTime::now()).unwrap();
        assert_eq!(first.pem(), again.pem());
    }

    #[test]
    fn a_crash_between_key_and_certificate_is_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        Authority::open(&data, SystemTime::now()).unwrap();
        std::fs::remove_file(folder.path().join(CERTIFICATE)).unwrap();
        Authority::open(&data, SystemTime::now()).unwrap();
    }

    #[test]
    fn a_lost_or_foreign_key_is_an_error_not_a_new_authority() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        Authority::open(&data, SystemTime::now()).unwrap();
        std::fs::remove_file(folder.path().join(KEY)).unwrap();
        let error = Authority::open(&data, SystemTime::now()).unwrap_err();
        assert!(matches!(error, TlsError::KeyMissing { .. }), "{error}");
        let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        data.write_secret(KEY, &other.serialize_pem()).unwrap();
        Authority::open(&data, SystemTime::now()).unwrap_err();
    }
}

//! The certificate the master shows, and its renewal.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tracing::info;
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};
use zeroize::Zeroizing;

use super::{Authority, TlsError, certificate_error, not_before, provider};
use crate::data_dir::DataDir;

const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";
const LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// With less than this left it is replaced.
const RENEW_BEFORE: Duration = Duration::from_secs(122 * 86_400);

/// The names every master answers to.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The certificate in use. Handshakes take the newest one.
#[derive(Debug)]
pub(crate) struct ServerCertificate {
    names: BTreeSet<String>,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    certified: Arc<CertifiedKey>,
    not_after: SystemTime,
}

impl ServerCertificate {
    /// Takes the certificate of a data folder, or makes a new one if there is
    /// none, it ends soon, or it is not for exactly these names.
    pub(crate) fn open(
        data: &DataDir,
        authority: &Authority,
        names: impl IntoIterator<Item = String>,
        now: SystemTime,
    ) -> Result<Self, TlsError> {
        let names: BTreeSet<String> = OWN_NAMES
            .into_iter()
            .map(str::to_owned)
            .chain(names)
            .map(normal)
            .collect::<Result<_, _>>()?;
        // What is there but makes no sense is replaced: it is worth nothing.
        let kept = read(data)?
            .and_then(|(chain, key)| understand(&chain, &key, authority, &names).ok())
            .filter(|current| !is_due(current, now));
        let current = match kept {
            Some(current) => current,
            None => issue(data, authority, &names, now)?,
        };
        Ok(Self {
            names,
            current: RwLock::new(current),
        })
    }

    /// Replaces the certificate if its end is near.
    pub(crate) fn renew_if_due(
        &self,
        data: &DataDir,
        authority: &Authority,
        now: SystemTime,
    ) -> Result<(), TlsError> {
        let due = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            is_due(&current, now)
        };
        if due {
            let renewed = issue(data, authority, &self.names, now)?;
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        }
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current.certified))
    }
}

/// The form in which a name is read back from a certificate.
fn normal(name: String) -> Result<String, TlsError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let name = name.to_ascii_lowercase();
    match ServerName::try_from(name.as_str()) {
        Ok(ServerName::DnsName(_)) => Ok(name),
        _ => Err(TlsError::Name { name }),
    }
}

fn is_due(current: &Current, now: SystemTime) -> bool {
    current
        .not_after
        .duration_since(now)
        .is_ok_and(|left| left < RENEW_BEFORE)
        || current.not_after <= now
}

fn read(data: &DataDir) -> Result<Option<(String, Zeroizing<String>)>, TlsError> {
    Ok(match (data.read(CERTIFICATE)?, data.read(KEY)?) {
        (Some(certificate), Some(key)) => Some((certificate.to_string(), key)),
        _ => None,
    })
}

fn issue(
    data: &DataDir,
    authority: &Authority,
    names: &BTreeSet<String>,
    now: SystemTime,
) -> Result<Current, TlsError> {
    let make = certificate_error::<rcgen::Error>("make the server's certificate");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(&make)?;
    let all: Vec<String> = names.iter().cloned().collect();
    let mut params = CertificateParams::new(all).map_err(&make)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "NxMesh master");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = not_before(now).into();
    params.not_after = (now + LIFETIME).into();
    let certificate = params
        .signed_by(&key, authority.issuer())
        .map_err(&make)?
        .pem();
    let key = Zeroizing::new(key.serialize_pem());
    data.write_secret(KEY, &key)?;
    data.write_public(CERTIFICATE, &certificate)?;
    info!(?names, "made a certificate for the master");
    understand(&certificate, &key, authority, names)
}

/// Makes a pair usable, if it belongs together, comes from this authority and
/// is for these names.
fn understand(
    certificate: &str,
    key: &str,
    authority: &Authority,
    names: &BTreeSet<String>,
) -> Result<Current, TlsError> {
    let bad = certificate_error::<&'static str>("use the server's certificate");
    let der = CertificateDer::from_pem_slice(certificate.as_bytes())
        .map_err(certificate_error("read the server's certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(certificate_error("read the server's key"))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der)
        .map_err(certificate_error("read the server's certificate"))?;
    if names_of(&parsed) != *names {
        return Err(bad("it is for other names"));
    }
    let issuer = CertificateDer::from_pem_slice(authority.pem().as_bytes())
        .map_err(certificate_error("read the authority's certificate"))?;
    let (_, issuer) = x509_parser::parse_x509_certificate(&issuer)
        .map_err(certificate_error("read the authority's certificate"))?;
    parsed
        .verify_signature(Some(issuer.public_key()))
        .map_err(certificate_error("verify the server's certificate"))?;
    let not_after = SystemTime::from(parsed.validity().not_after.to_datetime());
    let chain = [std::slice::from_ref(&der), authority.vouchers()].concat();
    let certified = CertifiedKey::from_der(chain, key, &provider())
        .map_err(certificate_error("use the server's certificate"))?;
    Ok(Current {
        certified: Arc::new(certified),
        not_after,
    })
}

fn names_of(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return BTreeSet::new();
    };
    names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rig {
        _folder: tempfile::TempDir,
        data: DataDir,
        authority: Authority,
    }

    fn rig() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let authority = Authority::open(&data, SystemTime::now()).unwrap();
        Rig {
            _folder: folder,
            data,
            authority,
        }
    }

    impl Rig {
        fn open(&self, names: &[&str], now: SystemTime) -> String {
            let names = names.iter().map(|name| (*name).to_owned());
            ServerCertificate::open(&self.data, &self.authority, names, now).unwrap();
            self.data.read(CERTIFICATE).unwrap().unwrap().to_string()
        }
    }

    #[test]
    fn it_is_kept_until_its_end_is_near_or_its_names_change() {
        let rig = rig();
        let now = SystemTime::now();
        let first = rig.open(&["master.example"], now);
        assert_eq!(rig.open(&["master.example"], now), first);
        let renamed = rig.open(&["other.example", "192.0.2.7"], now);
        assert_ne!(renamed, first);
        let soon = now + LIFETIME - RENEW_BEFORE - Duration::from_secs(60);
        assert_eq!(rig.open(&["other.example", "192.0.2.7"], soon), renamed);
        let late = now + LIFETIME - RENEW_BEFORE + Duration::from_secs(60);
        assert_ne!(rig.open(&["other.example", "192.0.2.7"], late), renamed);
    }

    #[test]
    fn names_are_compared_in_one_form_and_bad_ones_refused() {
        let rig = rig();
        let now = SystemTime::now();
        let first = rig.open(&["Master.Example", "2001:DB8:0::1"], now);
        assert_eq!(rig.open(&["master.example", "2001:db8::1"], now), first);
        for bad in ["", "two words", "a..b", "*.example", "bücher.example"] {
            let names = [bad.to_owned()];
            let error = ServerCertificate::open(&rig.data, &rig.authority, names, now).unwrap_err();
            assert!(matches!(error, TlsError::Name { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn it_is_renewed_while_in_use() {
        let rig = rig();
        let now = SystemTime::now();
        let certificate = ServerCertificate::open(&rig.data, &rig.authority, [], now).unwrap();
        let end = |certificate: &ServerCertificate| certificate.current.read().unwrap().not_after;
        let before = end(&certificate);
        certificate
            .renew_if_due(&rig.data, &rig.authority, now)
            .unwrap();
        assert_eq!(end(&certificate), before);
        let late = now + LIFETIME - RENEW_BEFORE + Duration::from_secs(60);
        certificate
            .renew_if_due(&rig.data, &rig.authority, late)
            .unwrap();
        assert!(end(&certificate) > before);
    }

    #[test]
    fn damage_and_foreign_authorities_lead_to_a_new_one() {
        let rig = rig();
        let now = SystemTime::now();
        let first = rig.open(&[], now);
        rig.data.write_secret(KEY, "rubbish").unwrap();
        let second = rig.open(&[], now);
        assert_ne!(second, first);
        let other = tempfile::tempdir().unwrap();
        let data = DataDir::open(other.path()).unwrap();
        let foreign = Authority::open(&data, now).unwrap();
        ServerCertificate::open(&rig.data, &foreign, [], now).unwrap();
        assert_ne!(
            &**rig.data.read(CERTIFICATE).unwrap().unwrap(),
            second.as_str()
        );
    }
}

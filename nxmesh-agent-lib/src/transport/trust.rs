//! Which authorities a master's certificate may come from.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use nxmesh_core::contract::BoxError;
use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};

/// The most authorities that are trusted at the same time.
const MAX_AUTHORITIES: usize = 16;

/// The authorities of which one must have issued the master's certificate. The
/// machine's own list of authorities is not used. Clones are the same: what one
/// learns, all trust from the next connection on.
#[derive(Clone)]
pub struct Trust(Arc<Shared>);

struct Shared {
    authorities: RwLock<Authorities>,
    seen: Mutex<Option<Seen>>,
}

/// What the master showed at the newest connection.
struct Seen {
    chain: Vec<CertificateDer<'static>>,
    name: ServerName<'static>,
}

/// Authorities in the form that connections need.
pub(crate) struct Authorities {
    http2: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

/// Why authorities cannot be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// There is nothing to trust.
    #[error("the master's CA holds no certificate; it is the master's ca.pem, in PEM")]
    NoAuthority,
    /// There is too much of it.
    #[error("the master's CA holds more than {MAX_AUTHORITIES} certificates")]
    TooMany,
    /// A certificate cannot be used.
    #[error("the master's CA is not usable")]
    Authority(#[source] BoxError),
    /// To trust them would lock the agent out.
    #[error("the master announces authorities that its own certificate does not come from")]
    Foreign(#[source] BoxError),
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

impl Trust {
    /// Trusts nothing but the certificates in `pem`.
    ///
    /// # Errors
    ///
    /// [`TrustError`]
    pub fn new(pem: &str) -> Result<Self, TrustError> {
        let authorities = Authorities::new(&Arc::new(read(pem)?))?;
        Ok(Self(Arc::new(Shared {
            authorities: RwLock::new(authorities),
            seen: Mutex::default(),
        })))
    }

    /// Reads what a master announces; it has to cover the certificate that the
    /// master showed.
    pub(crate) fn examine(&self, pem: &str) -> Result<Authorities, TrustError> {
        let roots = Arc::new(read(pem)?);
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Seen { chain, name }) = &*seen
            && let Some((certificate, rest)) = chain.split_first()
        {
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider())
                .build()
                .map_err(|error| TrustError::Authority(error.into()))?
                .verify_server_cert(certificate, rest, name, &[], UnixTime::now())
                .map_err(|error| TrustError::Foreign(error.into()))?;
        }
        Authorities::new(&roots)
    }

    /// Trusts these and no others from the next connection on.
    pub(crate) fn replace(&self, authorities: Authorities) {
        let current = self.0.authorities.write();
        *current.unwrap_or_else(PoisonError::into_inner) = authorities;
    }

    /// The TLS settings of the next connection.
    pub(super) fn config(&self, protocol: Protocol) -> Arc<ClientConfig> {
        let current = self.0.authorities.read();
        let current = current.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(match protocol {
            Protocol::Http2 => &current.http2,
            Protocol::Http1 => &current.http1,
        })
    }

    /// Notes what the master called `name` showed, and was trusted for.
    pub(super) fn note(&self, chain: &[CertificateDer<'_>], name: ServerName<'static>) {
        let chain = chain.iter().map(|it| it.clone().into_owned()).collect();
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some(Seen { chain, name });
    }
}

/// What is spoken within TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http2,
    Http1,
}

fn read(pem: &str) -> Result<RootCertStore, TrustError> {
    let unusable = |error: BoxError| TrustError::Authority(error);
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        if roots.len() == MAX_AUTHORITIES {
            return Err(TrustError::TooMany);
        }
        let der = der.map_err(|error| unusable(error.into()))?;
        roots.add(der).map_err(|error| unusable(error.into()))?;
    }
    if roots.is_empty() {
        return Err(TrustError::NoAuthority);
    }
    Ok(roots)
}

impl Authorities {
    fn new(roots: &Arc<RootCertStore>) -> Result<Self, TrustError> {
        Ok(Self {
            http2: client_config(roots, b"h2")?,
            http1: client_config(roots, b"http/1.1")?,
        })
    }
}

fn client_config(
    roots: &Arc<RootCertStore>,
    protocol: &[u8],
) -> Result<Arc<ClientConfig>, TrustError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Authority(error.into()))?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}

/// Named, so that nothing depends on a process-wide choice.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_needed() {
        for nothing in ["", "ca.pem"] {
            let error = Trust::new(nothing).unwrap_err();
            assert!(matches!(error, TrustError::NoAuthority), "{error}");
        }
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = Trust::new(broken).unwrap_err();
        assert!(matches!(error, TrustError::Authority(_)), "{error}");
    }

    #[test]
    fn an_announcement_that_would_lock_out_is_not_taken() {
        let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (own, other) = (make(), make());
        let trust = Trust::new(&own.cert.pem()).unwrap();
        trust.note(
            std::slice::from_ref(own.cert.der()),
            ServerName::try_from("localhost").unwrap(),
        );
        let error = trust.examine(&other.cert.pem()).err().unwrap();
        assert!(matches!(error, TrustError::Foreign(_)), "{error}");
        let both = own.cert.pem() + &other.cert.pem();
        trust.replace(trust.examine(&both).unwrap());
        let many = own.cert.pem().repeat(MAX_AUTHORITIES + 1);
        let error = trust.examine(&many).err().unwrap();
        assert!(matches!(error, TrustError::TooMany), "{error}");
    }
}

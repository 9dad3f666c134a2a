//! Which authorities a master's certificate may come from.

use std::{fmt, sync::Arc};

use nxmesh_core::contract::BoxError;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

/// The authorities of which one must have issued the master's certificate. The
/// machine's own list of authorities is not used.
#[derive(Clone)]
pub struct Trust {
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
    /// A certificate cannot be used.
    #[error("the master's CA is not usable")]
    Authority(#[source] BoxError),
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
        let roots = Arc::new(authorities(pem)?);
        Ok(Self {
            http2: client_config(&roots, b"h2")?,
            http1: client_config(&roots, b"http/1.1")?,
        })
    }

    /// The TLS settings of the next connection.
    pub(super) fn config(&self, protocol: Protocol) -> Arc<ClientConfig> {
        match protocol {
            Protocol::Http2 => Arc::clone(&self.http2),
            Protocol::Http1 => Arc::clone(&self.http1),
        }
    }
}

/// What is spoken within TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http2,
    Http1,
}

fn authorities(pem: &str) -> Result<RootCertStore, TrustError> {
    let unusable = |error: BoxError| TrustError::Authority(error);
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let der = der.map_err(|error| unusable(error.into()))?;
        roots.add(der).map_err(|error| unusable(error.into()))?;
    }
    if roots.is_empty() {
        return Err(TrustError::NoAuthority);
    }
    Ok(roots)
}

fn client_config(
    roots: &Arc<RootCertStore>,
    protocol: &[u8],
) -> Result<Arc<ClientConfig>, TrustError> {
    // The provider is named, so that nothing depends on a process-wide choice.
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Authority(error.into()))?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
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
}

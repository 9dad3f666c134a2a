//! The master's own certificate authority and the certificate it shows.
//!
//! Agents and clients trust `ca.pem` and nothing else; it is made at the first
//! start and kept. The server's certificate is made from it and replaced, also
//! while the master runs, when its time comes near or its names change.

mod authority;
mod server;
pub mod succession;

use std::{sync::Arc, time::SystemTime};

use rustls::{ServerConfig, crypto::CryptoProvider};
use tokio_rustls::TlsAcceptor;

pub(crate) use authority::Authority;
pub(crate) use server::ServerCertificate;

use crate::data_dir::DataDirError;

/// Why the master's certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read or written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The authority's certificate is there, its key is not. A new authority
    /// would lock every agent out, so none is made.
    #[error("{certificate} has no key: {key} is missing; restore it from a backup")]
    KeyMissing {
        /// The certificate's file.
        certificate: String,
        /// The file that ought to be there.
        key: String,
    },
    /// The master cannot have a certificate for this.
    #[error(
        "{name:?} is neither a host name nor an address, for example master.example.com or 192.0.2.1"
    )]
    Name {
        /// As it was given.
        name: String,
    },
    /// A key or certificate could not be made or understood.
    #[error("could not {action}")]
    Certificate {
        /// What was attempted.
        action: &'static str,
        /// The library's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn certificate_error<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    action: &'static str,
) -> impl Fn(E) -> TlsError {
    move |source| TlsError::Certificate {
        action,
        source: source.into(),
    }
}

/// The one provider of cryptography, without touching the process-wide default.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Makes a port speak TLS with `certificate`, and HTTP/2 or HTTP/1.1 after it (RFC 7301).
pub(crate) fn acceptor(certificate: Arc<ServerCertificate>) -> Result<TlsAcceptor, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(certificate_error("set TLS up"))?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// When a certificate made `now` begins: two days ago, so that agents whose clock
/// is a day behind take it.
fn not_before(now: SystemTime) -> SystemTime {
    now - std::time::Duration::from_secs(2 * 86_400)
}

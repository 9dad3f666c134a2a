//! Asking nginx itself, each time over a new connection.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use nxmesh_core::digest::Digest;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

/// More than any answer of the probe server.
const ANSWER_LIMIT: u64 = 4096;

/// The release nginx names on its probe socket.
pub(super) async fn release(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream
        .write_all(b"GET /nxmesh/release HTTP/1.0\r\nHost: nxmesh\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.trim().to_owned()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the probe socket did not answer with a release",
        )),
    }
}

/// Whether an error of [`release`] means that nginx does not react, and not
/// that it has no probe socket.
pub(super) fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, InvalidData, NotFound};
    !matches!(error.kind(), ConnectionRefused | InvalidData | NotFound)
}

/// Whether something accepts connections at `address`.
pub(super) async fn accepts(address: SocketAddr) -> io::Result<()> {
    TcpStream::connect(address).await.map(drop)
}

/// The fingerprint of the certificate that is served for `host` at `address`.
pub(super) async fn fingerprint(
    connector: &TlsConnector,
    address: SocketAddr,
    host: &str,
) -> io::Result<Digest> {
    let leaf = leaf(connector, address, host).await?;
    Ok(Digest::of(&leaf))
}

/// The certificate that is served for `host` at `address`. Whether to trust it is not
/// the question here.
pub(super) async fn leaf(
    connector: &TlsConnector,
    address: SocketAddr,
    host: &str,
) -> io::Result<CertificateDer<'static>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect(address).await?;
    let stream = connector.connect(name, stream).await?;
    let (_, session) = stream.get_ref();
    session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|leaf| leaf.clone().into_owned())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A TLS client that looks at certificates and judges none.
pub(super) fn connector() -> io::Result<TlsConnector> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Nothing is sent over these connections, so anybody may be at the other end.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

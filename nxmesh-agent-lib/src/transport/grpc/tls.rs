//! Opens the one kind of connection there is: TCP with TLS, trusting one authority.

use std::{future::Future, io, pin::Pin, sync::Arc};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{GrpcOptions, GrpcOptionsError};

type Connecting = Pin<Box<dyn Future<Output = io::Result<TokioIo<TlsStream<TcpStream>>>> + Send>>;

/// The TLS settings that trust nothing but `ca_pem`.
pub(super) fn client_config(ca_pem: &str) -> Result<Arc<ClientConfig>, GrpcOptionsError> {
    let mut roots = RootCertStore::empty();
    let mut found = CertificateDer::pem_slice_iter(ca_pem.as_bytes()).peekable();
    if found.peek().is_none() {
        return Err(GrpcOptionsError::NoAuthority);
    }
    for der in found {
        let der = der.map_err(|error| GrpcOptionsError::Authority(Box::new(error)))?;
        roots
            .add(der)
            .map_err(|error| GrpcOptionsError::Authority(Box::new(error)))?;
    }
    // The provider is named, so that nothing depends on a process-wide choice.
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| GrpcOptionsError::Authority(Box::new(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Connects anew each time the channel asks; TCP and handshake together take
/// at most the connect timeout.
pub(super) fn connector(
    options: &GrpcOptions,
    config: Arc<ClientConfig>,
) -> impl tower::Service<
    Uri,
    Response = TokioIo<TlsStream<TcpStream>>,
    Error = io::Error,
    Future = Connecting,
> + Send
+ 'static {
    let url = options.url.clone();
    let timeout = options.connect_timeout;
    tower::service_fn(move |_: Uri| -> Connecting {
        let connector = TlsConnector::from(Arc::clone(&config));
        let url = url.clone();
        Box::pin(async move {
            let connected = tokio::time::timeout(timeout, async {
                let tcp = TcpStream::connect(url.authority()).await?;
                tcp.set_nodelay(true)?;
                connector.connect(url.server_name(), tcp).await
            });
            match connected.await {
                Ok(stream) => Ok(TokioIo::new(stream?)),
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no connection within {timeout:?}"),
                )),
            }
        })
    })
}

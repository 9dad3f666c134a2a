//! Opens the one kind of connection there is: TCP with TLS, trusting few.

use std::{io, time::Duration};

use rustls::AlertDescription;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{MasterUrl, Proxy, Trust, options::MasterOptions, trust::Protocol};

/// Connects to one master, anew each time.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    url: MasterUrl,
    trust: Trust,
    proxy: Option<Proxy>,
    timeout: Duration,
}

/// No connection, in words. Inside of an `io::Error`.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(super) struct DialError {
    words: String,
    /// Whether another protocol may get through where this one did not.
    pub(super) about_protocol: bool,
}

impl Dialer {
    pub(super) fn new(options: &MasterOptions) -> Self {
        Self {
            url: options.url.clone(),
            trust: options.trust.clone(),
            proxy: options
                .proxy
                .clone()
                .filter(|proxy| proxy.leads_to(&options.url)),
            timeout: options.connect_timeout,
        }
    }

    /// A connection that speaks `protocol`; TCP and handshake together take at
    /// most the connect timeout.
    ///
    /// # Errors
    ///
    /// An `io::Error` with a [`DialError`] in it.
    pub(super) async fn dial(&self, protocol: Protocol) -> io::Result<TlsStream<TcpStream>> {
        let timeout = self.timeout;
        match tokio::time::timeout(timeout, self.connect(protocol)).await {
            Ok(connected) => connected,
            Err(_) => Err(failed(format!("no connection within {timeout:?}"), false)),
        }
    }

    async fn connect(&self, protocol: Protocol) -> io::Result<TlsStream<TcpStream>> {
        let tcp = self.reach().await.map_err(|error| failed(error, false))?;
        let connector = TlsConnector::from(self.trust.config(protocol));
        let stream = connector
            .connect(self.url.server_name(), tcp)
            .await
            .map_err(|error| shake_failed(&error, protocol))?;
        let (_, connection) = stream.get_ref();
        if let Some(chain) = connection.peer_certificates() {
            self.trust.note(chain, self.url.server_name());
        }
        if protocol == Protocol::Http2 && connection.alpn_protocol() != Some(b"h2") {
            return Err(no_http2());
        }
        Ok(stream)
    }

    async fn reach(&self) -> io::Result<TcpStream> {
        let master = self.url.authority();
        let tcp = match &self.proxy {
            Some(proxy) => proxy.connect(&master).await?,
            None => TcpStream::connect(master).await?,
        };
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }
}

/// A certificate that is not trusted is none under any protocol. Other things
/// that go wrong here are what boxes do that do not know the one asked for.
fn shake_failed(error: &io::Error, protocol: Protocol) -> io::Error {
    let cause = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol))
            if protocol == Protocol::Http2 =>
        {
            no_http2()
        }
        Some(rustls::Error::InvalidCertificate(_)) => failed(error, false),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            failed("the connection broke in the TLS handshake", true)
        }
        _ => failed(error, true),
    }
}

fn no_http2() -> io::Error {
    failed("what answers there does not speak HTTP/2", true)
}

fn failed(words: impl ToString, about_protocol: bool) -> io::Error {
    io::Error::other(DialError {
        words: words.to_string(),
        about_protocol,
    })
}

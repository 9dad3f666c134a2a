//! What lies between an agent and its master.

use std::{
    future::Future,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

/// Serves every connection to a port of its own. Dropped, it is gone with all of them.
pub(crate) struct Between {
    pub(crate) port: u16,
    _tasks: JoinSet<()>,
}

impl Between {
    pub(crate) async fn serve<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve_on(listener, serve)
    }

    fn serve_on<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream));
            }
        });
        Self {
            port,
            _tasks: tasks,
        }
    }

    /// Passes bytes on to `master` until `frozen`; then sockets stay open, and
    /// nothing goes through.
    pub(crate) async fn relay(master: SocketAddr, frozen: CancellationToken) -> Self {
        Self::serve(move |mut agent| {
            let frozen = frozen.clone();
            async move {
                let mut master = TcpStream::connect(master).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut agent, &mut master) => {}
                    () = frozen.cancelled() => std::future::pending().await,
                }
            }
        })
        .await
    }

    /// Passes bytes on to `master` where another did before.
    pub(crate) async fn relay_at(port: u16, master: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        Self::serve_on(listener, move |mut agent| async move {
            let mut master = TcpStream::connect(master).await.unwrap();
            copy_bidirectional(&mut agent, &mut master).await.ok();
        })
    }

    /// Ends TLS and begins it anew towards `master`, whose data folder has the
    /// certificate. Speaks HTTP/2 only while `http2` says so.
    pub(crate) async fn middlebox(
        master: SocketAddr,
        folder: &Path,
        http2: Arc<AtomicBool>,
    ) -> Self {
        let pem = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let chain = CertificateDer::pem_slice_iter(&pem("server.pem"))
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                chain,
                PrivateKeyDer::from_pem_slice(&pem("server.key")).unwrap(),
            )
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&pem("ca.pem")).unwrap())
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let old = Arc::new(server.clone());
        server.alpn_protocols.insert(0, b"h2".to_vec());
        let new = Arc::new(server);
        Self::serve(move |agent| {
            let open = http2.load(Ordering::Relaxed);
            let acceptor = TlsAcceptor::from(Arc::clone(if open { &new } else { &old }));
            let mut client = client.clone();
            async move {
                let Ok(mut agent) = acceptor.accept(agent).await else {
                    return;
                };
                let protocol = agent.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                client.alpn_protocols = protocol.into_iter().collect();
                let tcp = TcpStream::connect(master).await.unwrap();
                let name = ServerName::try_from("localhost").unwrap();
                let connector = TlsConnector::from(Arc::new(client));
                let mut master = connector.connect(name, tcp).await.unwrap();
                copy_bidirectional(&mut agent, &mut master).await.ok();
            }
        })
        .await
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

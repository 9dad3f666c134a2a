//! A bound port that serves a router: accept, shake hands, serve, drain.

use std::{convert::Infallible, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpConnectInfo;
use tower::Service as _;
use tracing::{debug, warn};

use crate::config::Keepalive;

/// TLS handshakes at the same time; further ones wait their turn.
const HANDSHAKES: usize = 64;
/// A peer that is slower with its handshake or request head is let go.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// A peer that is connected but asks for nothing so long is let go. hyper's own
/// limit begins only once it knows which HTTP the peer speaks.
const FIRST_REQUEST_PATIENCE: Duration = Duration::from_secs(30);
/// How long a peer waits for its turn to shake hands, when thousands come back at once.
const TURN_PATIENCE: Duration = Duration::from_secs(60);
/// Requests at the same time on one HTTP/2 connection.
const STREAMS_PER_CONNECTION: u32 = 64;
/// Pause after a failed accept, which mostly means too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that is bound but not served yet.
#[derive(Debug)]
pub(crate) struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

/// What a port serves.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) router: Router,
    /// `None`: plain HTTP.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Connections at the same time; further ones wait in the backlog.
    pub(crate) max_connections: usize,
    /// How much a peer may send ahead of being read, per HTTP/2 connection and stream.
    pub(crate) window_bytes: u32,
    /// HTTP/2 pings that find half-open connections.
    pub(crate) keepalive: Keepalive,
    /// How long open requests may take once the port is to stop.
    pub(crate) drain: Duration,
}

/// Kept by whoever takes a connection over from HTTP, as an extension of the
/// request: the connection counts as open until it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct StillOpen {
    _open: mpsc::Sender<Infallible>,
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("tls", &self.tls.is_some())
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

impl Port {
    /// Binds `address`.
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// What was bound.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets open requests finish within the drain time.
    pub(crate) async fn serve(self, served: Served, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(served.max_connections));
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        warn!(%error, "a connection failed");
                    }
                    continue;
                }
                accepted = self.accept(&slots) => accepted,
            };
            let (stream, peer, slot) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, address = %self.address, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let served = served.clone();
            let handshakes = Arc::clone(&handshakes);
            let stop = stop.clone();
            connections.spawn(async move {
                connection(stream, peer, served, &handshakes, stop).await;
                drop(slot);
            });
        }
        // New connections are refused from here on.
        drop(self.listener);
        let drained = timeout(served.drain, async {
            while connections.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            warn!(
                open = connections.len(),
                "connections cut, the time to drain is over"
            );
            connections.shutdown().await;
        }
    }

    async fn accept(
        &self,
        slots: &Arc<Semaphore>,
    ) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
        let slot = Arc::clone(slots)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, peer) = self.listener.accept().await?;
        Ok((stream, peer, slot))
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    mut served: Served,
    handshakes: &Semaphore,
    stop: CancellationToken,
) {
    let (open, mut closed) = mpsc::channel(1);
    served.router = served
        .router
        .layer(axum::Extension(StillOpen { _open: open }));
    serve_connection(stream, peer, served, handshakes, stop).await;
    // Nothing is ever sent: this is the end of the last of them.
    closed.recv().await;
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    served: Served,
    handshakes: &Semaphore,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, %peer, "could not set TCP_NODELAY");
    }
    let Served {
        router,
        tls,
        window_bytes,
        keepalive,
        ..
    } = served;
    let router = router.layer(axum::Extension(peer)).layer(
        // Where tonic looks for the peer.
        axum::Extension(TcpConnectInfo {
            local_addr: stream.local_addr().ok(),
            remote_addr: Some(peer),
        }),
    );
    let http = Http {
        router,
        window_bytes,
        keepalive,
    };
    let Some(acceptor) = tls else {
        return requests(stream, peer, http, stop).await;
    };
    let shaken = tokio::select! {
        () = stop.cancelled() => return,
        shaken = handshake(stream, &acceptor, handshakes) => shaken,
    };
    match shaken {
        Ok(stream) => requests(stream, peer, http, stop).await,
        Err(error) => debug!(%error, %peer, "TLS handshake failed"),
    }
}

async fn handshake(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    turns: &Semaphore,
) -> io::Result<TlsStream<TcpStream>> {
    // Who says nothing does not take a turn from those who do.
    timeout(HEAD_PATIENCE, stream.peek(&mut [0])).await??;
    let _turn = timeout(TURN_PATIENCE, turns.acquire())
        .await?
        .map_err(io::Error::other)?;
    timeout(HEAD_PATIENCE, acceptor.accept(stream)).await?
}

/// What is said on a connection once it stands.
struct Http {
    router: Router,
    window_bytes: u32,
    keepalive: Keepalive,
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    http: Http,
    stop: CancellationToken,
) {
    let Http {
        router,
        window_bytes,
        keepalive,
    } = http;
    let asked = Arc::new(Notify::new());
    let asking = Arc::clone(&asked);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        asking.notify_one();
        // A router is always ready.
        router.clone().call(request.map(Body::new))
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(keepalive.interval)
        .keep_alive_timeout(keepalive.timeout)
        .initial_stream_window_size(window_bytes)
        .initial_connection_window_size(window_bytes)
        .max_concurrent_streams(STREAMS_PER_CONNECTION);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = silence(&asked) => return debug!(%peer, "connection closed, nothing was asked"),
    };
    if let Err(error) = ended {
        debug!(error = %error, %peer, "connection ended");
    }
}

/// Completes if nothing is asked in time.
async fn silence(asked: &Notify) {
    if timeout(FIRST_REQUEST_PATIENCE, asked.notified())
        .await
        .is_ok()
    {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_nothing_is_let_go_and_who_asks_is_not() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let http = || Http {
            router: Router::new().route(
                "/",
                axum::routing::get(async || {
                    tokio::time::sleep(3 * FIRST_REQUEST_PATIENCE).await;
                    "late"
                }),
            ),
            window_bytes: 1 << 16,
            keepalive: Keepalive::default(),
        };
        // Of the second it cannot be said yet which HTTP it speaks.
        for begun in ["", "PRI * HT"] {
            let (mut client, server) = tokio::io::duplex(1024);
            client.write_all(begun.as_bytes()).await.unwrap();
            let stop = CancellationToken::new();
            let served = requests(server, peer, http(), stop);
            timeout(2 * FIRST_REQUEST_PATIENCE, served).await.unwrap();
        }
        let (mut client, server) = tokio::io::duplex(1024);
        let stop = CancellationToken::new();
        tokio::spawn(requests(server, peer, http(), stop));
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("late"), "{answer}");
    }
}

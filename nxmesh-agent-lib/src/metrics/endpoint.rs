//! Answers Prometheus.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{Metrics, text};

/// Clients at a time; others wait to be accepted.
const CLIENTS: usize = 8;
/// How long a client may take from its connection to its answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between two attempts to listen.
const PAUSE: Duration = Duration::from_secs(5);
/// More than any head of a request that a scraper sends; hyper's least.
const MAX_HEAD_BYTES: usize = 8192;

/// Answers at `address` until dropped.
pub(super) async fn serve(address: SocketAddr, metrics: Arc<Metrics>) {
    let listener = listen(address).await;
    info!(%address, "metrics are told");
    let clients = Arc::new(Semaphore::new(CLIENTS));
    let mut answering = tokio::task::JoinSet::new();
    loop {
        let Ok(turn) = Arc::clone(&clients).acquire_owned().await else {
            return;
        };
        while answering.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors; those pass.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let metrics = Arc::clone(&metrics);
        answering.spawn(async move {
            // A client that is gone or does not read is no concern of ours.
            drop(timeout(DEADLINE, converse(stream, &metrics)).await);
            drop(turn);
        });
    }
}

/// The port may become free; nginx is looked after all the same.
async fn listen(address: SocketAddr) -> TcpListener {
    let mut known = None;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                if known.replace(error.kind()) != Some(error.kind()) {
                    warn!(%address, %error, "metrics are not told: could not listen; tried again every 5 s");
                }
            }
        }
        sleep(PAUSE).await;
    }
}

async fn converse(stream: TcpStream, metrics: &Metrics) -> Result<(), hyper::Error> {
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, metrics).await) });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer<B>(request: &Request<B>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let told = text::text(&metrics.families().await);
            (StatusCode::OK, text::CONTENT_TYPE, told)
        }
        (_, "/metrics") => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "metrics are read with GET\n".to_owned(),
        ),
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "metrics are at /metrics\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = header::HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

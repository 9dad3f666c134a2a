//! One question to one server, each over a new connection.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nxmesh_core::model::value::LogStatus;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinSet,
    time::timeout,
};

/// What of a body is looked at.
const MAX_BODY_BYTES: usize = 256 << 10;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `HOST:PORT`, resolved when it is asked.
    Tcp(String),
    Unix(PathBuf),
}

/// What is asked over HTTP, and which answers are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    pub(super) host: String,
    /// Any of these.
    pub(super) expect: Vec<LogStatus>,
    pub(super) contains: Option<String>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Whether somebody accepts connections.
pub(super) async fn accepts(target: &Target, limit: Duration) -> Result<(), String> {
    within(limit, async { connect(target).await.map(drop) }).await
}

/// Whether somebody gives a good answer.
pub(super) async fn answers(
    target: &Target,
    question: &Question,
    limit: Duration,
) -> Result<(), String> {
    within(limit, ask(target, question)).await
}

async fn within(
    limit: Duration,
    asked: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    timeout(limit, asked)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

async fn connect(target: &Target) -> Result<Box<dyn Stream>, String> {
    let failed = |error| format!("could not connect: {error}");
    Ok(match target {
        Target::Tcp(address) => Box::new(TcpStream::connect(address).await.map_err(failed)?),
        Target::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(failed)?),
    })
}

async fn ask(target: &Target, question: &Question) -> Result<(), String> {
    let stream = connect(target).await?;
    let failed = |error: hyper::Error| format!("no HTTP answer: {error}");
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(failed)?;
    // Dropped, it ends the connection.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let request = Request::builder()
        .method(&question.method)
        .uri(&question.path)
        .header(header::HOST, &question.host)
        .header(
            header::USER_AGENT,
            concat!("nxmesh-agent/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("the request cannot be made: {error}"))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status().as_u16();
    if !question.expect.iter().any(|expected| is(expected, status)) {
        let expected: Vec<&str> = question.expect.iter().map(LogStatus::as_str).collect();
        return Err(format!(
            "status {status} instead of {}",
            expected.join(" or ")
        ));
    }
    let Some(text) = &question.contains else {
        return Ok(());
    };
    let body = Limited::new(response.into_body(), MAX_BODY_BYTES);
    let body = body.collect().await;
    let body = body.map_err(|error| format!("the body cannot be read: {error}"))?;
    let body = body.to_bytes();
    let found = body
        .windows(text.len().max(1))
        .any(|part| part == text.as_bytes());
    match found || text.is_empty() {
        true => Ok(()),
        false => Err(format!("the body does not contain {text:?}")),
    }
}

fn is(expected: &LogStatus, status: u16) -> bool {
    let status = status.to_string();
    match expected.as_str().strip_suffix("xx") {
        Some(class) => status.starts_with(class),
        None => status == expected.as_str(),
    }
}

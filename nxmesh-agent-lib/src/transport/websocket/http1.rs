//! One request on a connection of its own.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use nxmesh_core::{
    contract::{BoxError, transport::TransportError},
    seal::{request::MASTER_TIME, stream::MAX_FRAME_BYTES},
    wire::http::STATUS,
};
use tokio::task::JoinSet;
use tonic::Code;

use crate::transport::{MasterUrl, dial::Dialer, failure, trust::Protocol};

/// The longest explanation that is read, in bytes.
const MAX_WORDS_BYTES: usize = 8 << 10;

/// An answer whose body is still to come. Dropped, it closes the connection.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response<Incoming>,
    /// Moves the bytes.
    connection: JoinSet<()>,
}

/// Connects, sends `request` and waits for the answer's head.
pub(super) async fn send(
    dialer: &Dialer,
    url: &MasterUrl,
    mut request: Request<Full<Bytes>>,
) -> Result<Answer, BoxError> {
    let host = HeaderValue::try_from(url.authority())?;
    request.headers_mut().insert(HOST, host);
    let stream = dialer.dial(Protocol::Http1).await?;
    let (mut sender, work) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = JoinSet::new();
    // What goes wrong with it the request or its body tells as well.
    connection.spawn(async move { drop(work.with_upgrades().await) });
    let response = sender.send_request(request).await?;
    Ok(Answer {
        response,
        connection,
    })
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The code of a master's answer that is no success.
    pub(super) fn masters_code(&self) -> Option<Code> {
        let status = self.headers().get(STATUS)?.to_str().ok()?;
        status.parse().ok().map(Code::from_i32)
    }

    /// The master's time, in Unix milliseconds, if it refuses for that of the call.
    pub(super) fn masters_time(&self) -> Option<u64> {
        self.masters_code()?;
        let told = self.headers().get(MASTER_TIME)?.to_str().ok()?;
        told.parse().ok()
    }

    /// The next part of the body; `None` at its proper end.
    pub(super) async fn data(&mut self, url: &MasterUrl) -> Result<Option<Bytes>, TransportError> {
        while let Some(frame) = self.response.body_mut().frame().await {
            let frame = frame.map_err(|error| failure::unreachable(url, error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The body as one message.
    pub(super) async fn message(self, url: &MasterUrl) -> Result<Bytes, TransportError> {
        self.collect(url, MAX_FRAME_BYTES).await
    }

    /// The body as an explanation.
    pub(super) async fn words(self, url: &MasterUrl) -> Result<String, TransportError> {
        let bytes = self.collect(url, MAX_WORDS_BYTES).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn collect(self, url: &MasterUrl, limit: usize) -> Result<Bytes, TransportError> {
        let Self {
            response,
            connection: _connection,
        } = self;
        match Limited::new(response.into_body(), limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => Err(failure::unreachable(url, error)),
        }
    }

    /// The connection itself, once HTTP is done with it.
    pub(super) async fn upgraded(self, url: &MasterUrl) -> Result<Upgraded, TransportError> {
        let Self {
            response,
            connection: _connection,
        } = self;
        hyper::upgrade::on(response)
            .await
            .map_err(|error| failure::unreachable(url, error))
    }
}

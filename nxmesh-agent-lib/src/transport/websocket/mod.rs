//! WebSocket and HTTP/1.1 over TLS, where HTTP/2 does not get through.
//!
//! The same messages under the same signatures and seals as over gRPC, on the
//! master's same port; [`nxmesh_core::wire::http`] tells the paths.

mod carry;
mod http1;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use nxmesh_core::{
    contract::transport::{Credentials, Session, Transport, TransportError},
    seal::request::SignedHeaders,
    wire::{
        HealthReport, MetricsBatch, RegisterAgentRequest, RegisterAgentResponse, http as paths,
    },
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::{client::generate_key, derive_accept_key},
        protocol::Role,
    },
};

use super::{
    bundle::{self, Bundle, BundleSource},
    dial::Dialer,
    failure,
    masters_clock::MastersClock,
    options::MasterOptions,
    sealed::{self, FRAMES_IN_FLIGHT, signed},
};
use http1::Answer;

/// Reaches a master over HTTP/1.1 and TLS. Every call has a connection of its
/// own, which is what HTTP/1.1 gets through boxes on the way most surely.
#[derive(Debug)]
pub struct WebSocketTransport {
    options: MasterOptions,
    dialer: Dialer,
    clock: MastersClock,
}

impl WebSocketTransport {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(options: MasterOptions) -> Self {
        Self {
            dialer: Dialer::new(&options),
            clock: MastersClock::new(Arc::clone(&options.clock)),
            options,
        }
    }

    /// Sends a request and waits for the head of the answer.
    async fn call(&self, request: Request<Full<Bytes>>) -> Result<Answer, TransportError> {
        let url = &self.options.url;
        self.within_limit(async {
            http1::send(&self.dialer, url, request)
                .await
                .map_err(|error| failure::unreachable(url, error))
        })
        .await
    }

    async fn post(
        &self,
        path: &str,
        headers: Option<SignedHeaders>,
        body: Bytes,
    ) -> Result<Answer, TransportError> {
        let request = self.request(Method::POST, path, headers, body)?;
        let answer = self.call(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            _ => Err(self.refusal(answer).await),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: Option<SignedHeaders>,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, TransportError> {
        let mut builder = Request::builder().method(method).uri(path);
        for (name, value) in headers.iter().flat_map(SignedHeaders::pairs) {
            builder = builder.header(name, value);
        }
        builder
            .body(Full::new(body))
            .map_err(|error| failure::unreachable(&self.options.url, error))
    }

    /// Posts what is signed; once more if it was refused for its date.
    async fn post_signed(
        &self,
        credentials: &Credentials,
        path: &'static str,
        body: Bytes,
    ) -> Result<Answer, TransportError> {
        let before = self.clock.ahead();
        let headers = signed(credentials, &self.clock, path, &body);
        let answer = self.post(path, Some(headers), body.clone()).await;
        if answer.is_ok() || self.clock.ahead() == before {
            return answer;
        }
        let headers = signed(credentials, &self.clock, path, &body);
        self.post(path, Some(headers), body).await
    }

    /// Tells `report` by one request.
    async fn report(
        &self,
        credentials: &Credentials,
        path: &'static str,
        report: Bytes,
    ) -> Result<(), TransportError> {
        let answer = self.post_signed(credentials, path, report).await?;
        let acknowledged = answer.message(&self.options.url);
        self.within_limit(acknowledged).await.map(drop)
    }

    /// What an answer means that is no success.
    async fn refusal(&self, answer: Answer) -> TransportError {
        let url = &self.options.url;
        let (status, code) = (answer.status(), answer.masters_code());
        if let Some(told) = answer.masters_time() {
            self.clock.learn(told);
        }
        let words = self.within_limit(answer.words(url));
        match (code, words.await) {
            (Some(code), Ok(words)) => failure::told(url, code, &words),
            (Some(_), Err(error)) => error,
            (None, _) => failure::unreachable(
                url,
                format!("something on the way answered {status} to HTTP/1.1"),
            ),
        }
    }

    async fn within_limit<T>(
        &self,
        call: impl Future<Output = Result<T, TransportError>> + Send,
    ) -> Result<T, TransportError> {
        let limit: Duration = self.options.call_timeout;
        match tokio::time::timeout(limit, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(failure::unanswered(&self.options.url, limit)),
        }
    }
}

#[async_trait]
impl Transport for WebSocketTransport {
    fn backend(&self) -> &'static str {
        "websocket"
    }

    async fn enrol(
        &self,
        request: RegisterAgentRequest,
    ) -> Result<RegisterAgentResponse, TransportError> {
        let url = &self.options.url;
        let body = request.encode_to_vec().into();
        let answer = self.post(paths::REGISTER, None, body).await?;
        let body = self.within_limit(answer.message(url)).await?;
        RegisterAgentResponse::decode(body).map_err(|error| failure::unreachable(url, error))
    }

    async fn connect(&self, credentials: &Credentials) -> Result<Session, TransportError> {
        let url = &self.options.url;
        let headers = signed(credentials, &self.clock, paths::STREAM, b"");
        let own = headers.nonce.clone();
        let key = generate_key();
        let accept = derive_accept_key(key.as_bytes());
        let mut request = self.request(Method::GET, paths::STREAM, Some(headers), Bytes::new())?;
        for (name, value) in [
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
            (
                SEC_WEBSOCKET_KEY,
                HeaderValue::try_from(key).map_err(|error| failure::unreachable(url, error))?,
            ),
        ] {
            request.headers_mut().insert(name, value);
        }
        let answer = self.call(request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.refusal(answer).await);
        }
        let accepted = answer.headers().get(SEC_WEBSOCKET_ACCEPT);
        if accepted.is_none_or(|it| it.as_bytes() != accept.as_bytes()) {
            return Err(failure::unreachable(url, "what answers is no WebSocket"));
        }
        let head = answer.headers().clone();
        let (frames, outgoing) = mpsc::channel(FRAMES_IN_FLIGHT);
        let (arrived, incoming) = mpsc::channel(FRAMES_IN_FLIGHT);
        let incoming = Box::pin(ReceiverStream::new(incoming));
        let session = sealed::session(credentials, &own, &head, frames, incoming)?;
        let upgraded = self.within_limit(answer.upgraded(url)).await?;
        let config = Some(carry::config());
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, config).await;
        // Ends with the session.
        tokio::spawn(carry::carry(
            socket,
            url.clone(),
            outgoing,
            arrived,
            self.options.keepalive,
        ));
        Ok(session)
    }

    async fn fetch_bundle(
        &self,
        credentials: &Credentials,
        digest: Bytes,
        size_bytes: u64,
    ) -> Result<Bytes, TransportError> {
        bundle::fetch(self, credentials, digest, size_bytes).await
    }

    async fn report_health(
        &self,
        credentials: &Credentials,
        report: HealthReport,
    ) -> Result<(), TransportError> {
        let report = report.encode_to_vec().into();
        self.report(credentials, paths::HEALTH, report).await
    }

    async fn report_metrics(
        &self,
        credentials: &Credentials,
        batch: MetricsBatch,
    ) -> Result<(), TransportError> {
        let batch = batch.encode_to_vec().into();
        self.report(credentials, paths::METRICS, batch).await
    }
}

#[async_trait]
impl BundleSource for WebSocketTransport {
    async fn fetch_some(
        &self,
        credentials: &Credentials,
        request: Bytes,
        bundle: &mut Bundle,
    ) -> Result<(), TransportError> {
        let url = &self.options.url;
        let mut answer = self
            .post_signed(credentials, paths::BUNDLE, request)
            .await?;
        while let Some(data) = self.within_limit(answer.data(url)).await? {
            bundle.add(bundle.len(), &data)?;
        }
        Ok(())
    }
}

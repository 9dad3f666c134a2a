//! gRPC over TLS, the usual way to the master.

pub(crate) mod codec;
mod generated;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Uri;
use hyper_util::rt::TokioIo;
use nxmesh_core::{
    contract::transport::{Credentials, Session, Transport, TransportError},
    seal::{
        request::{MASTER_TIME, SignedHeaders},
        stream::MAX_FRAME_BYTES,
    },
    wire::{BundleChunk, HealthReport, MetricsBatch, RegisterAgentRequest, RegisterAgentResponse},
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{
    Request, Status, Streaming,
    metadata::{AsciiMetadataValue, MetadataMap},
    transport::{Channel, Endpoint},
};

use super::{
    bundle::{self, Bundle, BundleSource},
    dial::Dialer,
    failure,
    masters_clock::MastersClock,
    options::{MasterOptions, MasterOptionsError},
    sealed::{self, FRAMES_IN_FLIGHT, signed},
    trust::Protocol,
};
use generated::AgentServiceClient;

/// Reaches a master over gRPC and TLS. All calls share one connection, which
/// is opened on the first and reopened when it broke.
#[derive(Debug)]
pub struct GrpcTransport {
    options: MasterOptions,
    endpoint: Endpoint,
    channel: OnceLock<Channel>,
    clock: MastersClock,
}

impl GrpcTransport {
    /// Checks the options; connects to nothing.
    ///
    /// # Errors
    ///
    /// [`MasterOptionsError`]
    pub fn new(options: MasterOptions) -> Result<Self, MasterOptionsError> {
        let endpoint = Endpoint::from_shared(format!("https://{}", options.url.authority()))
            .map_err(|error| MasterOptionsError::Url(Box::new(error)))?
            .http2_keep_alive_interval(options.keepalive.interval)
            .keep_alive_timeout(options.keepalive.timeout)
            .keep_alive_while_idle(true);
        Ok(Self {
            clock: MastersClock::new(Arc::clone(&options.clock)),
            endpoint,
            options,
            channel: OnceLock::new(),
        })
    }

    fn client(&self) -> AgentServiceClient<Channel> {
        let channel = self.channel.get_or_init(|| {
            let dialer = Arc::new(Dialer::new(&self.options));
            // Connects anew each time the channel asks.
            let connector = tower::service_fn(move |_: Uri| {
                let dialer = Arc::clone(&dialer);
                async move { dialer.dial(Protocol::Http2).await.map(TokioIo::new) }
            });
            Channel::new(connector, self.endpoint.clone())
        });
        AgentServiceClient::new(channel.clone()).max_decoding_message_size(MAX_FRAME_BYTES)
    }

    fn put(
        &self,
        headers: &SignedHeaders,
        metadata: &mut MetadataMap,
    ) -> Result<(), TransportError> {
        for (name, value) in headers.pairs() {
            let value = AsciiMetadataValue::try_from(value)
                .map_err(|error| failure::unreachable(&self.options.url, error))?;
            metadata.insert(name, value);
        }
        Ok(())
    }

    async fn ask_for_bundle(
        &self,
        credentials: &Credentials,
        request: &Bytes,
    ) -> Result<Streaming<Bytes>, TransportError> {
        let method = "/nxmesh.agent.AgentService/FetchBundle";
        let headers = signed(credentials, &self.clock, method, request);
        let mut request = Request::new(request.clone());
        self.put(&headers, request.metadata_mut())?;
        let mut client = self.client();
        let answer = self.within_limit(client.fetch_bundle(request)).await?;
        Ok(answer.into_inner())
    }

    /// Tells `report` by one call; once more if it was refused for its date.
    async fn report(
        &self,
        credentials: &Credentials,
        of: Reports,
        report: Bytes,
    ) -> Result<(), TransportError> {
        let before = self.clock.ahead();
        let told = self.tell(credentials, of, &report).await;
        match told {
            Err(_) if self.clock.ahead() != before => self.tell(credentials, of, &report).await,
            told => told,
        }
    }

    async fn tell(
        &self,
        credentials: &Credentials,
        of: Reports,
        report: &Bytes,
    ) -> Result<(), TransportError> {
        let method = match of {
            Reports::Health => "/nxmesh.agent.AgentService/ReportHealth",
            Reports::Metrics => "/nxmesh.agent.AgentService/ReportMetrics",
        };
        let headers = signed(credentials, &self.clock, method, report);
        let mut request = Request::new(report.clone());
        self.put(&headers, request.metadata_mut())?;
        let mut client = self.client();
        match of {
            Reports::Health => self.within_limit(client.report_health(request)).await,
            Reports::Metrics => self.within_limit(client.report_metrics(request)).await,
        }
        .map(drop)
    }

    async fn within_limit<T>(
        &self,
        call: impl Future<Output = Result<T, Status>> + Send,
    ) -> Result<T, TransportError> {
        let limit = self.options.call_timeout;
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map_err(|status| {
                let told = status.metadata().get(MASTER_TIME);
                let told = told.and_then(|told| told.to_str().ok()?.parse().ok());
                if let Some(told) = told {
                    self.clock.learn(told);
                }
                failure::answered(&self.options.url, &status)
            }),
            Err(_) => Err(failure::unanswered(&self.options.url, limit)),
        }
    }
}

/// What is told by calls.
#[derive(Debug, Clone, Copy)]
enum Reports {
    Health,
    Metrics,
}

#[async_trait]
impl Transport for GrpcTransport {
    fn backend(&self) -> &'static str {
        "grpc"
    }

    async fn enrol(
        &self,
        request: RegisterAgentRequest,
    ) -> Result<RegisterAgentResponse, TransportError> {
        let request = Request::new(Bytes::from(request.encode_to_vec()));
        let mut client = self.client();
        let reply = self.within_limit(client.register_agent(request)).await?;
        RegisterAgentResponse::decode(reply.into_inner())
            .map_err(|error| failure::unreachable(&self.options.url, error))
    }

    async fn connect(&self, credentials: &Credentials) -> Result<Session, TransportError> {
        let method = "/nxmesh.agent.AgentService/Stream";
        let headers = signed(credentials, &self.clock, method, b"");
        let (frames, outgoing) = mpsc::channel(FRAMES_IN_FLIGHT);
        let mut request = Request::new(ReceiverStream::new(outgoing));
        self.put(&headers, request.metadata_mut())?;
        let mut client = self.client();
        let answer = self.within_limit(client.stream(request)).await?;
        let (metadata, incoming, _) = answer.into_parts();
        let url = self.options.url.clone();
        let incoming =
            incoming.map(move |frame| frame.map_err(|status| failure::ended(&url, &status)));
        sealed::session(
            credentials,
            &headers.nonce,
            metadata.as_ref(),
            frames,
            Box::pin(incoming),
        )
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
        self.report(credentials, Reports::Health, report).await
    }

    async fn report_metrics(
        &self,
        credentials: &Credentials,
        batch: MetricsBatch,
    ) -> Result<(), TransportError> {
        let batch = batch.encode_to_vec().into();
        self.report(credentials, Reports::Metrics, batch).await
    }
}

#[async_trait]
impl BundleSource for GrpcTransport {
    async fn fetch_some(
        &self,
        credentials: &Credentials,
        request: Bytes,
        bundle: &mut Bundle,
    ) -> Result<(), TransportError> {
        let before = self.clock.ahead();
        let mut answer = self.ask_for_bundle(credentials, &request).await;
        // Refused for its date: once more, with the master's.
        if answer.is_err() && self.clock.ahead() != before {
            answer = self.ask_for_bundle(credentials, &request).await;
        }
        let mut chunks = answer?;
        while let Some(chunk) = self.within_limit(chunks.message()).await? {
            let chunk = BundleChunk::decode(chunk)
                .map_err(|error| failure::unreachable(&self.options.url, error))?;
            bundle.add(chunk.offset, &chunk.data)?;
        }
        Ok(())
    }
}

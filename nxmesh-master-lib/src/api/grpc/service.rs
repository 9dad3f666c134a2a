//! The calls of the agent protocol over gRPC.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName};
use nxmesh_core::{seal::request::SESSION_NONCE, wire::BundleChunk};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use super::{
    calls::{Calls, Frames, encode},
    generated::AgentService,
};

const CHUNK_BYTES: usize = 32 << 10;

const STREAM: &str = "/nxmesh.agent.AgentService/Stream";
const FETCH_BUNDLE: &str = "/nxmesh.agent.AgentService/FetchBundle";
const REPORT_HEALTH: &str = "/nxmesh.agent.AgentService/ReportHealth";
const REPORT_METRICS: &str = "/nxmesh.agent.AgentService/ReportMetrics";

/// The agent service of one master.
#[derive(Debug)]
pub(super) struct Service(pub(super) Arc<Calls>);

#[tonic::async_trait]
impl AgentService for Service {
    async fn register_agent(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        self.0.register(request.get_ref()).await.map(Response::new)
    }

    type StreamStream = Frames;

    async fn stream(&self, request: Request<Streaming<Bytes>>) -> Result<Response<Frames>, Status> {
        let opening = self.0.open(request.metadata().as_ref(), STREAM).await?;
        let nonce =
            HeaderMap::from_iter([(HeaderName::from_static(SESSION_NONCE), opening.header())]);
        let outgoing = opening.begin(Box::pin(request.into_inner()));
        let mut response: Response<Frames> = Response::new(Box::pin(ReceiverStream::new(outgoing)));
        *response.metadata_mut() = MetadataMap::from_headers(nonce);
        Ok(response)
    }

    type FetchBundleStream = Frames;

    async fn fetch_bundle(&self, request: Request<Bytes>) -> Result<Response<Frames>, Status> {
        let (metadata, _, body) = request.into_parts();
        let (start, bytes) = self.0.bundle(metadata.as_ref(), FETCH_BUNDLE, &body)?;
        let chunks = (0..bytes.len()).step_by(CHUNK_BYTES).map(move |at| {
            Ok(encode(&BundleChunk {
                offset: (start + at) as u64,
                data: bytes.slice(at..bytes.len().min(at + CHUNK_BYTES)),
            }))
        });
        Ok(Response::new(Box::pin(stream::iter(chunks))))
    }

    async fn report_health(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let (metadata, _, body) = request.into_parts();
        let ack = self
            .0
            .report_health(metadata.as_ref(), REPORT_HEALTH, &body)?;
        Ok(Response::new(ack))
    }

    async fn report_metrics(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let (metadata, _, body) = request.into_parts();
        let ack = self
            .0
            .report_metrics(metadata.as_ref(), REPORT_METRICS, &body)?;
        Ok(Response::new(ack))
    }
}

//! Fetches bundles chunk by chunk, going on where a broken call ended.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nxmesh_core::{
    contract::transport::{Credentials, TransportError},
    digest::Digest,
    wire::{BundleChunk, FetchBundleRequest},
};
use prost::Message as _;

use super::{GrpcTransport, failure};

/// The longest bundle that is fetched, in bytes.
pub(super) const MAX_BUNDLE_BYTES: u64 = 64 << 20;
/// How often in a row a call may end without having brought a byte.
const MAX_FRUITLESS_CALLS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

impl GrpcTransport {
    pub(super) async fn fetch(
        &self,
        credentials: &Credentials,
        digest: Bytes,
        size_bytes: u64,
    ) -> Result<Bytes, TransportError> {
        if size_bytes > MAX_BUNDLE_BYTES {
            return Err(TransportError::Refused {
                reason: format!(
                    "a bundle of {size_bytes} bytes is offered, {MAX_BUNDLE_BYTES} are taken at most"
                ),
            });
        }
        // Both bounds fit: at most 64 MiB. Room is made as bytes come, not as they are promised.
        let mut content = BytesMut::new();
        let mut fruitless = 0;
        while (content.len() as u64) < size_bytes {
            let before = content.len();
            let ended = self
                .fetch_some(credentials, &digest, size_bytes, &mut content)
                .await;
            match ended {
                Err(
                    error @ (TransportError::Refused { .. } | TransportError::NotGenuine { .. }),
                ) => {
                    return Err(error);
                }
                Err(error) if content.len() == before => {
                    fruitless += 1;
                    if fruitless == MAX_FRUITLESS_CALLS {
                        return Err(error);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(()) if (content.len() as u64) < size_bytes => {
                    return Err(TransportError::NotGenuine {
                        reason: format!(
                            "a bundle of {size_bytes} bytes ended after {}",
                            content.len()
                        ),
                    });
                }
                _ => fruitless = 0,
            }
        }
        if Digest::of(&content).as_bytes()[..] != digest[..] {
            return Err(TransportError::NotGenuine {
                reason: "a bundle does not have the digest it was offered with".to_owned(),
            });
        }
        Ok(content.freeze())
    }

    /// One call: from where `content` ends as far as it goes.
    async fn fetch_some(
        &self,
        credentials: &Credentials,
        digest: &Bytes,
        size_bytes: u64,
        content: &mut BytesMut,
    ) -> Result<(), TransportError> {
        let request = FetchBundleRequest {
            digest: digest.clone(),
            offset: content.len() as u64,
        };
        let request = self.signed(
            credentials,
            "/nxmesh.agent.AgentService/FetchBundle",
            request.encode_to_vec().into(),
        )?;
        let mut chunks = self
            .within_limit(self.client().fetch_bundle(request))
            .await?
            .into_inner();
        while let Some(chunk) = self.within_limit(chunks.message()).await? {
            let chunk = BundleChunk::decode(chunk)
                .map_err(|error| failure::unreachable(&self.options.url, error))?;
            let fits = chunk.offset == content.len() as u64
                && chunk.data.len() as u64 <= size_bytes - content.len() as u64;
            if !fits {
                return Err(TransportError::NotGenuine {
                    reason: "a bundle's chunk is out of place".to_owned(),
                });
            }
            content.extend_from_slice(&chunk.data);
        }
        Ok(())
    }
}

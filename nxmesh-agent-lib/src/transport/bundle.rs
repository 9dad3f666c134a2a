//! Fetches bundles piece by piece, going on where a broken call ended.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use nxmesh_core::{
    contract::transport::{Credentials, TransportError},
    digest::Digest,
    wire::FetchBundleRequest,
};
use prost::Message as _;

/// The longest bundle that is fetched, in bytes.
pub(super) const MAX_BUNDLE_BYTES: u64 = 64 << 20;
/// How often in a row a call may end without having brought a byte.
const MAX_FRUITLESS_CALLS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// One call for the content of an update.
#[async_trait]
pub(super) trait BundleSource: Sync {
    /// Adds to `bundle` what `request` brings, which asks from its end.
    async fn fetch_some(
        &self,
        credentials: &Credentials,
        request: Bytes,
        bundle: &mut Bundle,
    ) -> Result<(), TransportError>;
}

/// What there is of a bundle so far.
#[derive(Debug)]
pub(super) struct Bundle {
    content: BytesMut,
    size: u64,
}

impl Bundle {
    /// Adds `data`, which begins at `offset`.
    pub(super) fn add(&mut self, offset: u64, data: &[u8]) -> Result<(), TransportError> {
        let length = self.len();
        if offset != length || data.len() as u64 > self.size - length {
            return Err(TransportError::NotGenuine {
                reason: "a bundle's chunk is out of place".to_owned(),
            });
        }
        self.content.extend_from_slice(data);
        Ok(())
    }

    /// Its bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.content.len() as u64
    }
}

/// Fetches the bundle with `digest` and `size` from `source`.
pub(super) async fn fetch(
    source: &impl BundleSource,
    credentials: &Credentials,
    digest: Bytes,
    size: u64,
) -> Result<Bytes, TransportError> {
    if size > MAX_BUNDLE_BYTES {
        return Err(TransportError::Refused {
            reason: format!(
                "a bundle of {size} bytes is offered, {MAX_BUNDLE_BYTES} are taken at most"
            ),
        });
    }
    // Room is made as bytes come, not as they are promised.
    let mut bundle = Bundle {
        content: BytesMut::new(),
        size,
    };
    let mut fruitless = 0;
    while bundle.len() < size {
        let before = bundle.len();
        let request = FetchBundleRequest {
            digest: digest.clone(),
            offset: before,
        };
        let request = request.encode_to_vec().into();
        let ended = source.fetch_some(credentials, request, &mut bundle).await;
        match ended {
            Err(error @ (TransportError::Refused { .. } | TransportError::NotGenuine { .. })) => {
                return Err(error);
            }
            Err(error) if bundle.len() == before => {
                fruitless += 1;
                if fruitless == MAX_FRUITLESS_CALLS {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
            }
            Ok(()) if bundle.len() < size => {
                return Err(TransportError::NotGenuine {
                    reason: format!("a bundle of {size} bytes ended after {}", bundle.len()),
                });
            }
            _ => fruitless = 0,
        }
    }
    if Digest::of(&bundle.content).as_bytes()[..] != digest[..] {
        return Err(TransportError::NotGenuine {
            reason: "a bundle does not have the digest it was offered with".to_owned(),
        });
    }
    Ok(bundle.content.freeze())
}

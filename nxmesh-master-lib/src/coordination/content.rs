//! A slice as bytes, shared by every agent it is sent to.

use std::collections::BTreeMap;

use bytes::Bytes;
use nxmesh_core::{
    digest::Digest,
    model::{ResourceKey, ResourceKind, Version},
    wire::{self, BundleOffer, ConfigUpdate},
};
use prost::Message as _;

use super::slices::{Encoded, Slice, differing};

/// The longest content that travels within the update, in bytes.
pub(super) const INLINE_LIMIT: usize = 64 << 10;

/// The documents of a slice, or of its difference to a base, encoded as a
/// `ConfigUpdate` that has nothing else.
#[derive(Debug)]
pub(crate) struct Content {
    bytes: Bytes,
    digest: Digest,
    /// The digest of the slice it leads to.
    slice: Digest,
    base: Option<Digest>,
}

impl Content {
    pub(super) fn whole(slice: &Slice) -> Self {
        let documents = slice.documents().iter().map(|(key, it)| (key, &**it));
        Self::encode(slice, None, documents, Vec::new())
    }

    pub(super) fn delta(base: &Slice, slice: &Slice) -> Self {
        let mut changed = BTreeMap::new();
        let mut removed = Vec::new();
        for key in differing(base, slice) {
            match slice.documents().get(key) {
                Some(document) => {
                    changed.insert(key, &**document);
                }
                None => removed.push(key.to_string()),
            }
        }
        Self::encode(slice, Some(base.digest()), changed.into_iter(), removed)
    }

    fn encode<'a>(
        slice: &Slice,
        base: Option<Digest>,
        documents: impl Iterator<Item = (&'a ResourceKey, &'a Encoded)>,
        removed: Vec<String>,
    ) -> Self {
        let mut update = ConfigUpdate {
            removed,
            ..ConfigUpdate::default()
        };
        for (key, encoded) in documents {
            let name = key.name.to_string();
            let document = encoded.json.clone();
            match key.kind {
                ResourceKind::VirtualHost => {
                    update
                        .virtual_hosts
                        .push(wire::VirtualHost { name, document });
                }
                ResourceKind::Upstream => {
                    update.upstreams.push(wire::Upstream { name, document });
                }
                ResourceKind::Certificate => {
                    // Canonical JSON is UTF-8, so nothing is replaced here.
                    let document = String::from_utf8_lossy(&document).into_owned();
                    update.ssl_certificates.insert(name, document);
                }
                kind => update.documents.push(wire::Document {
                    kind: kind.to_string(),
                    name,
                    document,
                }),
            }
        }
        let bytes = Bytes::from(update.encode_to_vec());
        Self {
            digest: Digest::of(&bytes),
            bytes,
            slice: slice.digest(),
            base,
        }
    }

    /// The digest of the bytes, by which they are fetched.
    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes.
    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether it has to be laid over a base.
    pub(super) const fn is_delta(&self) -> bool {
        self.base.is_some()
    }

    /// Whether the content is fetched apart from the update.
    pub(crate) const fn is_fetched(&self) -> bool {
        self.bytes.len() > INLINE_LIMIT
    }

    /// The fields of the `ConfigUpdate` that brings an agent to `version`, but
    /// for those of the content: encoded messages that are joined merge
    /// (protobuf encoding guide, "Last One Wins").
    pub(super) fn envelope(&self, version: Version) -> ConfigUpdate {
        let bytes_of = |digest: &Digest| Bytes::copy_from_slice(digest.as_bytes());
        ConfigUpdate {
            config_id: self.slice.to_string(),
            version: version.revision,
            epoch: version.epoch,
            digest: bytes_of(&self.slice),
            base_digest: self.base.as_ref().map(bytes_of).unwrap_or_default(),
            offer: self.is_fetched().then(|| BundleOffer {
                digest: bytes_of(&self.digest),
                size_bytes: self.bytes.len() as u64,
            }),
            ..ConfigUpdate::default()
        }
    }
}

//! Updates as a master makes them.

use bytes::Bytes;
use nxmesh_core::{
    bundle::Slice,
    digest::Digest,
    model::{Resource, Version},
    wire::{self, BundleOffer, ConfigUpdate},
};
use prost::Message as _;

/// The update that brings any agent to `slice`.
#[must_use]
pub fn whole(version: Version, slice: &Slice) -> ConfigUpdate {
    let resources = slice.resources().iter().map(|(_, resource)| &**resource);
    update_of(version, slice.digest(), resources)
}

fn update_of<'a>(
    version: Version,
    digest: Digest,
    resources: impl Iterator<Item = &'a Resource>,
) -> ConfigUpdate {
    let mut update = ConfigUpdate {
        config_id: digest.to_string(),
        version: version.revision,
        epoch: version.epoch,
        digest: Bytes::copy_from_slice(digest.as_bytes()),
        ..ConfigUpdate::default()
    };
    for resource in resources {
        let name = resource.metadata().name.to_string();
        let document = resource.to_canonical_json();
        match resource {
            Resource::VirtualHost(_) => update.virtual_hosts.push(wire::VirtualHost {
                name,
                document: document.into(),
            }),
            Resource::Upstream(_) => update.upstreams.push(wire::Upstream {
                name,
                document: document.into(),
            }),
            Resource::Certificate(_) => {
                let text = String::from_utf8_lossy(&document).into_owned();
                update.ssl_certificates.insert(name, text);
            }
            other => update.documents.push(wire::Document {
                kind: other.kind().to_string(),
                name,
                document: document.into(),
            }),
        }
    }
    update
}

/// The update that brings an agent that has `base` to `slice`.
#[must_use]
pub fn delta(version: Version, base: &Slice, slice: &Slice) -> ConfigUpdate {
    let differs = |resource: &Resource| {
        base.resources()
            .get(&resource.key())
            .is_none_or(|old| **old != *resource)
    };
    let changed = slice.resources().iter().filter(|(_, new)| differs(new));
    let removed = base
        .resources()
        .iter()
        .filter(|(key, _)| slice.resources().get(key).is_none());
    let mut update = update_of(version, slice.digest(), changed.map(|(_, new)| &**new));
    update.base_digest = Bytes::copy_from_slice(base.digest().as_bytes());
    update.removed = removed.map(|(key, _)| key.to_string()).collect();
    update
}

/// Takes the content out of an update; what stays is an offer of it.
#[must_use]
pub fn offer(mut update: ConfigUpdate) -> (ConfigUpdate, Bytes) {
    let content = ConfigUpdate {
        virtual_hosts: std::mem::take(&mut update.virtual_hosts),
        upstreams: std::mem::take(&mut update.upstreams),
        ssl_certificates: std::mem::take(&mut update.ssl_certificates),
        documents: std::mem::take(&mut update.documents),
        removed: std::mem::take(&mut update.removed),
        ..ConfigUpdate::default()
    };
    let content = Bytes::from(content.encode_to_vec());
    update.offer = Some(BundleOffer {
        digest: Bytes::copy_from_slice(Digest::of(&content).as_bytes()),
        size_bytes: content.len() as u64,
    });
    (update, content)
}

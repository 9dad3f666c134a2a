//! From an update as it travelled to the slice it stands for.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use nxmesh_core::{
    bundle::Slice,
    contract::transport::TransportError,
    digest::Digest,
    document::{Problem, parse_canonical},
    model::{Resource, ResourceKey, ResourceKind, ResourceSet, Version},
    wire::{ConfigUpdate, Phase},
};
use prost::Message as _;

use crate::apply::{Failure, Target};

/// Why an update cannot be made a slice of. Each may be cured by being sent
/// anew: whole instead of as a delta, by another master, to a newer agent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateError {
    #[error("the update's resources have the digest {found}, not the one it says")]
    Digest { found: Digest },
    #[error("the update is a delta to a slice this agent has not taken on")]
    UnknownBase,
    #[error("{0}")]
    Document(Problem),
    #[error("the update is malformed: {0}")]
    Malformed(String),
    #[error("the offered content could not be fetched: {}", with_cause(.0))]
    Fetch(TransportError),
    #[error("this agent does not know the phase {0}")]
    Phase(i32),
}

impl UpdateError {
    pub(crate) fn failure(&self) -> Failure {
        let code = match self {
            Self::Digest { .. } => "NX-WIRE-001",
            Self::UnknownBase => "NX-WIRE-002",
            Self::Document(_) | Self::Malformed(_) => "NX-WIRE-003",
            Self::Fetch(_) => "NX-WIRE-004",
            Self::Phase(_) => "NX-WIRE-005",
        };
        Failure {
            code,
            message: self.to_string(),
            retryable: true,
            resource: None,
            file: None,
            line: None,
        }
    }
}

/// The version an update is for.
pub(crate) fn version_of(update: &ConfigUpdate) -> Version {
    Version {
        epoch: update.epoch,
        revision: update.version,
    }
}

/// Fetches what is offered, lays a delta over `accepted`, and checks that the
/// result is what the master meant.
pub(crate) async fn resolve<F>(
    mut update: ConfigUpdate,
    accepted: Option<Arc<Slice>>,
    fetch: impl FnOnce(Bytes, u64) -> F + Send,
) -> Result<Target, UpdateError>
where
    F: Future<Output = Result<Bytes, TransportError>> + Send,
{
    if update.phase() != Phase::Apply || Phase::try_from(update.phase).is_err() {
        return Err(UpdateError::Phase(update.phase));
    }
    let expected = Digest::from_bytes(&update.digest)
        .ok_or_else(|| UpdateError::Malformed("its digest is not 32 bytes long".to_owned()))?;
    let version = version_of(&update);
    let base = match &update.base_digest[..] {
        [] => None,
        digest => Some(
            accepted
                .filter(|slice| slice.digest().as_bytes()[..] == *digest)
                .ok_or(UpdateError::UnknownBase)?,
        ),
    };
    if let Some(offer) = update.offer.take() {
        let content = fetch(offer.digest.clone(), offer.size_bytes)
            .await
            .map_err(UpdateError::Fetch)?;
        if Digest::of(&content).as_bytes()[..] != offer.digest[..] {
            return Err(UpdateError::Malformed(
                "the content does not have the digest it was offered with".to_owned(),
            ));
        }
        update = ConfigUpdate::decode(content)
            .map_err(|error| UpdateError::Malformed(error.to_string()))?;
    }
    // Thousands of documents take a while to parse.
    let slice = tokio::task::spawn_blocking(move || assemble(&update, base.as_deref()))
        .await
        .map_err(|error| UpdateError::Malformed(error.to_string()))??;
    if slice.digest() != expected {
        return Err(UpdateError::Digest {
            found: slice.digest(),
        });
    }
    Ok(Target { version, slice })
}

fn assemble(update: &ConfigUpdate, base: Option<&Slice>) -> Result<Slice, UpdateError> {
    let mut resources = base.map_or_else(ResourceSet::default, |slice| slice.resources().clone());
    for key in &update.removed {
        let removed: ResourceKey = key
            .parse()
            .map_err(|error| UpdateError::Malformed(format!("removed {key:?}: {error}")))?;
        resources.remove(&removed);
    }
    let hosts = update
        .virtual_hosts
        .iter()
        .map(|host| (ResourceKind::VirtualHost, &host.name, &host.document[..]));
    let upstreams = update.upstreams.iter().map(|upstream| {
        (
            ResourceKind::Upstream,
            &upstream.name,
            &upstream.document[..],
        )
    });
    let certificates = update
        .ssl_certificates
        .iter()
        .map(|(name, document)| (ResourceKind::Certificate, name, document.as_bytes()));
    for (kind, name, document) in hosts.chain(upstreams).chain(certificates) {
        resources.insert(parse(kind, name, document)?);
    }
    Ok(Slice::new(resources))
}

fn parse(kind: ResourceKind, name: &str, document: &[u8]) -> Result<Resource, UpdateError> {
    let resource = parse_canonical("the update", document).map_err(UpdateError::Document)?;
    let key = resource.key();
    if key.kind != kind || key.name.as_str() != name {
        return Err(UpdateError::Malformed(format!(
            "{key} travels as the {kind} {name:?}"
        )));
    }
    Ok(resource)
}

fn with_cause(error: &TransportError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

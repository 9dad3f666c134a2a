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
    if Phase::try_from(update.phase) != Ok(Phase::Apply) {
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
    for other in &update.documents {
        // As it is written, not as people may type it.
        let kind = ResourceKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == other.kind);
        let kind = kind.ok_or_else(|| {
            UpdateError::Malformed(format!(
                "this agent does not know the kind {:?}",
                other.kind
            ))
        })?;
        resources.insert(parse(kind, &other.name, &other.document)?);
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

#[cfg(test)]
mod tests {
    use nxmesh_core::testkit::sample;

    use super::*;
    use crate::testkit::{offer, whole};

    type Spoil = Box<dyn Fn(&mut ConfigUpdate)>;

    fn version(revision: u64) -> Version {
        Version { epoch: 1, revision }
    }

    /// A slice with a certificate, so that all three kinds travel.
    fn slice() -> Slice {
        let resources = [
            Resource::from(sample::virtual_host("blog")),
            Resource::from(sample::tls_virtual_host("shop")),
            Resource::from(sample::upstream("blog")),
            Resource::from(sample::upstream("shop")),
            Resource::from(sample::certificate("shop")),
        ];
        Slice::new(resources.into_iter().collect())
    }

    fn without_first_host(slice: &Slice) -> (Slice, String) {
        let mut resources = slice.resources().clone();
        let key = resources.iter().next().map(|(key, _)| key.clone()).unwrap();
        resources.remove(&key);
        (Slice::new(resources), key.to_string())
    }

    async fn resolved(update: ConfigUpdate, base: Option<Slice>) -> Result<Target, UpdateError> {
        let fetch = |_, _| async { panic!("nothing is to be fetched") };
        resolve(update, base.map(Arc::new), fetch).await
    }

    #[tokio::test]
    async fn a_whole_update_is_the_slice() {
        let slice = slice();
        let target = resolved(whole(version(3), &slice), None).await.unwrap();
        assert_eq!(target.version, version(3));
        assert_eq!(target.slice, slice);
    }

    #[tokio::test]
    async fn a_delta_is_laid_over_its_base() {
        let new = slice();
        let (old, first) = without_first_host(&new);
        // Forth: one is added. Back: one is removed.
        let mut forth = whole(version(2), &new);
        forth.base_digest = Bytes::copy_from_slice(old.digest().as_bytes());
        forth.upstreams.clear();
        forth.ssl_certificates.clear();
        let target = resolved(forth, Some(old.clone())).await.unwrap();
        assert_eq!(target.slice, new);

        let back = ConfigUpdate {
            epoch: 1,
            version: 3,
            digest: Bytes::copy_from_slice(old.digest().as_bytes()),
            base_digest: Bytes::copy_from_slice(new.digest().as_bytes()),
            removed: vec![first],
            ..ConfigUpdate::default()
        };
        let target = resolved(back.clone(), Some(new)).await.unwrap();
        assert_eq!(target.slice, old);

        for base in [None, Some(old)] {
            let error = resolved(back.clone(), base).await.unwrap_err();
            assert!(matches!(error, UpdateError::UnknownBase), "{error}");
            assert!(error.failure().retryable);
        }
    }

    #[tokio::test]
    async fn an_offer_is_fetched_and_checked() {
        let slice = slice();
        let (update, content) = offer(whole(version(2), &slice));
        let sent = content.clone();
        let target = resolve(update.clone(), None, |_, size| async move {
            assert_eq!(size, sent.len() as u64);
            Ok(sent)
        });
        assert_eq!(target.await.unwrap().slice, slice);

        let mut damaged = content.to_vec();
        damaged[9] ^= 1;
        let fetched = resolve(update.clone(), None, |_, _| async { Ok(damaged.into()) }).await;
        assert!(matches!(fetched, Err(UpdateError::Malformed(_))));

        let fetched = resolve(update, None, |_, _| async { Err(TransportError::Closed) }).await;
        assert_eq!(fetched.unwrap_err().failure().code, "NX-WIRE-004");
    }

    #[tokio::test]
    async fn what_the_master_did_not_mean_is_refused() {
        let slice = slice();
        let good = whole(version(1), &slice);
        let (other, _) = without_first_host(&slice);
        let bad: [(&str, Spoil); 7] = [
            (
                "NX-WIRE-001",
                Box::new(move |update| {
                    update.digest = Bytes::copy_from_slice(other.digest().as_bytes());
                }),
            ),
            (
                "NX-WIRE-001",
                Box::new(|update| update.virtual_hosts.clear()),
            ),
            (
                "NX-WIRE-003",
                Box::new(|update| update.digest = Bytes::from_static(b"short")),
            ),
            (
                "NX-WIRE-003",
                Box::new(|update| update.virtual_hosts[0].name.push('x')),
            ),
            (
                "NX-WIRE-003",
                Box::new(|update| update.removed.push("no key".to_owned())),
            ),
            (
                "NX-WIRE-003",
                Box::new(|update| {
                    update.upstreams[0].document = Bytes::from_static(b"{\"kind\":\"Upstream\"}");
                }),
            ),
            (
                "NX-WIRE-005",
                Box::new(|update| update.set_phase(Phase::Prepare)),
            ),
        ];
        for (code, spoil) in bad {
            let mut update = good.clone();
            spoil(&mut update);
            let error = resolved(update, None).await.unwrap_err();
            assert_eq!(error.failure().code, code, "{error}");
        }
        let mut unknown = good;
        unknown.phase = 99;
        assert!(matches!(
            resolved(unknown, None).await,
            Err(UpdateError::Phase(99))
        ));
    }
}

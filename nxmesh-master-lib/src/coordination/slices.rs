//! The part of a workspace that agents with the same labels need, in the form
//! it travels in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use nxmesh_core::{
    bundle::{digest_of, with_references},
    check::references_of,
    contract::storage::{ResourceChange, StoredResource},
    digest::Digest,
    model::{Labels, Resource, ResourceKey, Selector, Version},
};

use super::content::Content;

/// Older slices kept per set of labels, as bases of deltas.
const BASES_KEPT: usize = 8;

/// A resource with its canonical form, made once for all slices that hold it.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) resource: Arc<Resource>,
    pub(super) json: Bytes,
    pub(super) digest: Digest,
}

impl Encoded {
    fn new(resource: Arc<Resource>) -> Arc<Self> {
        let json = Bytes::from(resource.to_canonical_json());
        let digest = Digest::of(&json);
        Arc::new(Self {
            resource,
            json,
            digest,
        })
    }
}

/// What agents with the same labels are to serve.
#[derive(Debug)]
pub(super) struct Slice {
    documents: BTreeMap<ResourceKey, Arc<Encoded>>,
    digest: Digest,
    /// About how long it is as a whole, encoded.
    bytes: usize,
    /// By the digest of their base; `None` is the whole. At most one per base kept.
    contents: Mutex<HashMap<Option<Digest>, Arc<Content>>>,
}

impl Slice {
    fn new(documents: BTreeMap<ResourceKey, Arc<Encoded>>) -> Self {
        let digest = digest_of(
            documents
                .iter()
                .map(|(key, document)| (key, &document.digest)),
        );
        let bytes = documents.values().map(|it| it.json.len()).sum();
        Self {
            documents,
            digest,
            bytes,
            contents: Mutex::default(),
        }
    }

    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) const fn documents(&self) -> &BTreeMap<ResourceKey, Arc<Encoded>> {
        &self.documents
    }

    /// The slice encoded, as a delta to `base` if there is one and that is
    /// shorter. Encoded once, whoever asks.
    pub(super) fn content(&self, base: Option<&Self>) -> Arc<Content> {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(base) = base {
            let delta = contents
                .entry(Some(base.digest))
                .or_insert_with(|| Arc::new(Content::delta(base, self)));
            if delta.bytes().len() < self.bytes {
                return Arc::clone(delta);
            }
        }
        let whole = contents
            .entry(None)
            .or_insert_with(|| Arc::new(Content::whole(self)));
        Arc::clone(whole)
    }
}

/// A slice and the version that made it what it is.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) version: Version,
    pub(super) slice: Arc<Slice>,
}

/// The target of one set of labels, and what it was before.
#[derive(Debug)]
struct Share {
    target: Target,
    earlier: Vec<Arc<Slice>>,
}

impl Share {
    /// Takes a newly cut slice in; whether it differs.
    fn renew(&mut self, slice: Slice, version: impl FnOnce(&Slice, &Slice) -> Version) -> bool {
        if slice.digest == self.target.slice.digest {
            return false;
        }
        let version = version(&self.target.slice, &slice);
        let slice = Arc::new(slice);
        let before = std::mem::replace(&mut self.target, Target { version, slice }).slice;
        self.earlier.retain(|kept| kept.digest != before.digest);
        self.earlier.push(before);
        if self.earlier.len() > BASES_KEPT {
            self.earlier.remove(0);
        }
        true
    }
}

/// What a part of the history changed.
#[derive(Debug)]
pub(super) struct Advanced {
    /// The labels of the slices that are others now.
    pub(super) renewed: Vec<Labels>,
    /// By revision, the selectors of the virtual hosts it concerned.
    pub(super) concerned: Vec<(Version, Vec<Selector>)>,
}

/// The resources of one workspace and the slices cut from them.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    documents: BTreeMap<ResourceKey, Arc<Encoded>>,
    /// The revision that last changed a resource.
    changed: HashMap<ResourceKey, u64>,
    /// What refers to a resource.
    referrers: HashMap<ResourceKey, BTreeSet<ResourceKey>>,
    shares: BTreeMap<Labels, Share>,
}

impl Workspace {
    /// Starts over from a snapshot at `head`. Slices whose content is the same
    /// keep their version. Returns the labels of the others.
    pub(super) fn reload(&mut self, resources: Vec<StoredResource>, head: Version) -> Vec<Labels> {
        self.documents.clear();
        self.changed.clear();
        self.referrers.clear();
        for stored in resources {
            let key = stored.resource.key();
            self.changed.insert(key.clone(), stored.revision);
            self.put(key, Encoded::new(stored.resource));
        }
        self.renew(|_| true, |_, _| head)
    }

    /// Takes the changes of consecutive revisions in. A slice's version is that
    /// of the newest revision that touched what differs.
    pub(super) fn advance<'a>(
        &mut self,
        revisions: impl IntoIterator<Item = (Version, &'a [ResourceChange])>,
    ) -> Advanced {
        let mut concerned = Vec::new();
        let mut touched: BTreeMap<&ResourceKey, Version> = BTreeMap::new();
        let mut newest = Version::default();
        for (version, changes) in revisions {
            newest = newest.max(version);
            let mut selectors = BTreeMap::new();
            for change in changes {
                let before = self.selectors(change);
                self.take(change, version.revision);
                let both = before.into_iter().chain(self.selectors(change));
                selectors.extend(both.map(|selector| (selector.to_string(), selector)));
                touched.insert(&change.key, version);
            }
            concerned.push((version, selectors.into_values().collect::<Vec<_>>()));
        }
        let renewed = self.renew(
            |labels| {
                let mut selectors = concerned.iter().flat_map(|(_, selectors)| selectors);
                selectors.any(|selector| selector.matches(labels))
            },
            |before, after| {
                differing(before, after)
                    .filter_map(|key| touched.get(key).copied())
                    .max()
                    .unwrap_or(newest)
            },
        );
        Advanced { renewed, concerned }
    }

    fn take(&mut self, change: &ResourceChange, revision: u64) {
        self.remove(&change.key);
        match &change.after {
            Some(resource) => {
                self.changed.insert(change.key.clone(), revision);
                self.put(change.key.clone(), Encoded::new(Arc::clone(resource)));
            }
            None => {
                self.changed.remove(&change.key);
            }
        }
    }

    fn put(&mut self, key: ResourceKey, document: Arc<Encoded>) {
        for (_, target) in references_of(&document.resource) {
            let referrers = self.referrers.entry(target).or_default();
            referrers.insert(key.clone());
        }
        self.documents.insert(key, document);
    }

    fn remove(&mut self, key: &ResourceKey) {
        let Some(document) = self.documents.remove(key) else {
            return;
        };
        for (_, target) in references_of(&document.resource) {
            if let Some(referrers) = self.referrers.get_mut(&target) {
                referrers.remove(key);
                if referrers.is_empty() {
                    self.referrers.remove(&target);
                }
            }
        }
    }

    /// Which agents a change concerns, as things stand: the selectors of what
    /// it changes, and of all that refers to it, directly or not.
    pub(super) fn selectors(&self, change: &ResourceChange) -> Vec<Selector> {
        let own = [&change.before, &change.after].into_iter().flatten();
        let mut selectors: Vec<Selector> = own
            .filter_map(|resource| resource.selector().cloned())
            .collect();
        let mut seen = BTreeSet::new();
        let mut open = vec![&change.key];
        while let Some(key) = open.pop() {
            for referrer in self.referrers.get(key).into_iter().flatten() {
                if !seen.insert(referrer) {
                    continue;
                }
                let document = self.documents.get(referrer);
                match document.and_then(|document| document.resource.selector()) {
                    Some(selector) => selectors.push(selector.clone()),
                    None => open.push(referrer),
                }
            }
        }
        selectors
    }

    /// What agents with `labels` are to serve; cut when first asked for. Then
    /// its version is the newest that changed a resource in it, which is all
    /// that can be known.
    pub(super) fn target(&mut self, labels: &Labels, head: Version) -> Target {
        if let Some(share) = self.shares.get(labels) {
            return share.target.clone();
        }
        let slice = Arc::new(self.cut(labels));
        let newest = slice
            .documents
            .keys()
            .filter_map(|key| self.changed.get(key))
            .max();
        let target = Target {
            version: Version {
                epoch: head.epoch,
                revision: newest.copied().unwrap_or(head.revision),
            },
            slice,
        };
        let share = Share {
            target: target.clone(),
            earlier: Vec::new(),
        };
        self.shares.insert(labels.clone(), share);
        target
    }

    /// An earlier slice of agents with `labels`, if it is still kept.
    pub(super) fn earlier(&self, labels: &Labels, digest: Digest) -> Option<Arc<Slice>> {
        let share = self.shares.get(labels)?;
        share
            .earlier
            .iter()
            .find(|slice| slice.digest == digest)
            .cloned()
    }

    /// Drops the slices of labels no agent has any more.
    pub(super) fn forget(&mut self, labels: &Labels) {
        self.shares.remove(labels);
    }

    fn renew(
        &mut self,
        concerned: impl Fn(&Labels) -> bool,
        version: impl Fn(&Slice, &Slice) -> Version,
    ) -> Vec<Labels> {
        let mut shares = std::mem::take(&mut self.shares);
        let renewed = shares
            .iter_mut()
            .filter(|(labels, _)| concerned(labels))
            .filter_map(|(labels, share)| {
                share
                    .renew(self.cut(labels), &version)
                    .then(|| labels.clone())
            })
            .collect();
        self.shares = shares;
        renewed
    }

    fn cut(&self, labels: &Labels) -> Slice {
        let chosen = self.documents.iter().filter(|(_, document)| {
            let selector = document.resource.selector();
            selector.is_some_and(|selector| selector.matches(labels))
        });
        let all = with_references(chosen.map(|(key, _)| key.clone()), |key| {
            self.documents.get(key).map(|found| &*found.resource)
        });
        let documents = all.into_iter().filter_map(|key| {
            let document = Arc::clone(self.documents.get(&key)?);
            Some((key, document))
        });
        Slice::new(documents.collect())
    }
}

/// The resources that are not the same in both slices.
pub(super) fn differing<'a>(
    before: &'a Slice,
    after: &'a Slice,
) -> impl Iterator<Item = &'a ResourceKey> {
    let changed = after.documents.iter().filter(|(key, document)| {
        before
            .documents
            .get(*key)
            .is_none_or(|old| old.digest != document.digest)
    });
    let gone = before
        .documents
        .keys()
        .filter(|key| !after.documents.contains_key(*key));
    changed.map(|(key, _)| key).chain(gone)
}

#[cfg(test)]
mod tests;

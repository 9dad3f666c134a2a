//! Resources of all kinds, and sets of them.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use super::{
    Certificate, Metadata, Upstream, VirtualHost,
    value::{ResourceName, ValueError},
};
use crate::digest::Digest;

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResourceKind {
    /// [`VirtualHost`]
    VirtualHost,
    /// [`Upstream`]
    Upstream,
    /// [`Certificate`]
    Certificate,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::VirtualHost, Self::Upstream, Self::Certificate];

    /// The name in documents: `VirtualHost`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VirtualHost => "VirtualHost",
            Self::Upstream => "Upstream",
            Self::Certificate => "Certificate",
        }
    }

    /// The name in URLs: `virtual-hosts`.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::VirtualHost => "virtual-hosts",
            Self::Upstream => "upstreams",
            Self::Certificate => "certificates",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ResourceKind {
    type Err = ValueError;

    /// Reads a kind as people type it: `VirtualHost`, `virtualhost`,
    /// `virtual-hosts` and `vhost` are the same.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = text.to_ascii_lowercase().replace(['-', '_'], "");
        match plain.as_str() {
            "virtualhost" | "virtualhosts" | "vhost" | "vhosts" => Ok(Self::VirtualHost),
            "upstream" | "upstreams" => Ok(Self::Upstream),
            "certificate" | "certificates" | "cert" | "certs" => Ok(Self::Certificate),
            _ => Err(ValueError {
                rule: "a kind is one of VirtualHost, Upstream and Certificate",
                example: "VirtualHost",
            }),
        }
    }
}

/// What a resource is called within its workspace. Shows as `VirtualHost/shop`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name.
    pub name: ResourceName,
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for ResourceKey {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (kind, name) = text.split_once('/').ok_or(ValueError {
            rule: "a resource is named by its kind, '/' and its name",
            example: "VirtualHost/shop",
        })?;
        Ok(Self {
            kind: kind.parse()?,
            name: name.parse()?,
        })
    }
}

impl Serialize for ResourceKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ResourceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A resource of any kind; the document people write, tagged by `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Resource {
    /// A virtual host.
    VirtualHost(VirtualHost),
    /// An upstream.
    Upstream(Upstream),
    /// A certificate.
    Certificate(Certificate),
}

impl Resource {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ResourceKind {
        match self {
            Self::VirtualHost(_) => ResourceKind::VirtualHost,
            Self::Upstream(_) => ResourceKind::Upstream,
            Self::Certificate(_) => ResourceKind::Certificate,
        }
    }

    /// Its metadata.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        match self {
            Self::VirtualHost(document) => &document.metadata,
            Self::Upstream(document) => &document.metadata,
            Self::Certificate(document) => &document.metadata,
        }
    }

    /// Its key within its workspace.
    #[must_use]
    pub fn key(&self) -> ResourceKey {
        ResourceKey {
            kind: self.kind(),
            name: self.metadata().name.clone(),
        }
    }

    /// The canonical JSON form: the same bytes for equal resources.
    #[must_use]
    pub fn to_canonical_json(&self) -> Vec<u8> {
        // Serialising these types cannot fail: they hold no maps with other
        // than text keys and their own implementations return no errors.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The digest of the canonical form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_canonical_json())
    }

    /// The document as people may see it: private keys read `***`.
    #[must_use]
    pub fn redacted(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(key) = value.pointer_mut("/spec/private_key") {
            *key = Value::from("***");
        }
        value
    }
}

impl From<VirtualHost> for Resource {
    fn from(document: VirtualHost) -> Self {
        Self::VirtualHost(document)
    }
}

impl From<Upstream> for Resource {
    fn from(document: Upstream) -> Self {
        Self::Upstream(document)
    }
}

impl From<Certificate> for Resource {
    fn from(document: Certificate) -> Self {
        Self::Certificate(document)
    }
}

/// The resources of one workspace, or the part of them that one agent needs.
/// Ordered by kind and name; cheap to clone one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceSet {
    resources: BTreeMap<ResourceKey, Arc<Resource>>,
}

impl ResourceSet {
    /// Adds or replaces a resource; returns what was there.
    pub fn insert(&mut self, resource: impl Into<Arc<Resource>>) -> Option<Arc<Resource>> {
        let resource = resource.into();
        self.resources.insert(resource.key(), resource)
    }

    /// Removes a resource.
    pub fn remove(&mut self, key: &ResourceKey) -> Option<Arc<Resource>> {
        self.resources.remove(key)
    }

    /// Looks a resource up.
    #[must_use]
    pub fn get(&self, key: &ResourceKey) -> Option<&Arc<Resource>> {
        self.resources.get(key)
    }

    /// All resources, by kind and name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ResourceKey, &Arc<Resource>)> {
        self.resources.iter()
    }

    /// The virtual hosts, by name.
    pub fn virtual_hosts(&self) -> impl Iterator<Item = &VirtualHost> {
        self.resources
            .values()
            .filter_map(|resource| match &**resource {
                Resource::VirtualHost(document) => Some(document),
                _ => None,
            })
    }

    /// The upstream called `name`.
    #[must_use]
    pub fn upstream(&self, name: &ResourceName) -> Option<&Upstream> {
        match &**self.get(&ResourceKey {
            kind: ResourceKind::Upstream,
            name: name.clone(),
        })? {
            Resource::Upstream(document) => Some(document),
            _ => None,
        }
    }

    /// The certificate called `name`.
    #[must_use]
    pub fn certificate(&self, name: &ResourceName) -> Option<&Certificate> {
        match &**self.get(&ResourceKey {
            kind: ResourceKind::Certificate,
            name: name.clone(),
        })? {
            Resource::Certificate(document) => Some(document),
            _ => None,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }
}

impl FromIterator<Resource> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Self {
        let mut set = Self::default();
        for resource in resources {
            set.insert(resource);
        }
        set
    }
}

impl FromIterator<Arc<Resource>> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = Arc<Resource>>>(resources: I) -> Self {
        let mut set = Self::default();
        for resource in resources {
            set.insert(resource);
        }
        set
    }
}

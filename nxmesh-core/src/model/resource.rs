//! Resources of all kinds, and sets of them.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use super::{
    AccessList, Certificate, Metadata, NginxSettings, Policy, RouteSet, Selector, Snippet,
    StreamServer, Template, Upstream, VirtualHost,
    value::{ResourceName, ValueError},
};
use crate::{digest::Digest, document::from_value};

/// Calls a macro with every kind: its type, its name in URLs, and other names
/// people may type.
macro_rules! for_each_kind {
    ($callback:ident) => {
        $callback! {
            VirtualHost "virtual-hosts" ["vhost", "vhosts"],
            Upstream "upstreams" [],
            Certificate "certificates" ["cert", "certs"],
            AccessList "access-lists" ["acl", "acls"],
            Policy "policies" [],
            Snippet "snippets" [],
            Template "templates" [],
            StreamServer "stream-servers" ["stream", "streams"],
            NginxSettings "nginx-settings" [],
            RouteSet "route-sets" ["routes"],
        }
    };
}
pub(crate) use for_each_kind;

macro_rules! define_kinds {
    ($first:ident $first_plural:literal [$($first_alias:literal),*], $($kind:ident $plural:literal [$($alias:literal),*],)*) => {
        /// The kinds of resources.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum ResourceKind {
            #[doc = concat!("[`", stringify!($first), "`]")]
            $first,
            $(#[doc = concat!("[`", stringify!($kind), "`]")] $kind,)*
        }

        impl ResourceKind {
            /// Every kind.
            pub const ALL: [Self; [stringify!($first), $(stringify!($kind)),*].len()] =
                [Self::$first, $(Self::$kind),*];

            pub(crate) const ERROR: ValueError = ValueError {
                rule: concat!("a kind is one of ", stringify!($first) $(, ", ", stringify!($kind))*),
                example: stringify!($first),
            };

            /// The name in documents: `VirtualHost`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::$first => stringify!($first),
                    $(Self::$kind => stringify!($kind),)*
                }
            }

            /// The name in URLs: `virtual-hosts`.
            #[must_use]
            pub const fn plural(self) -> &'static str {
                match self {
                    Self::$first => $first_plural,
                    $(Self::$kind => $plural,)*
                }
            }

            /// Other names people may type.
            const fn aliases(self) -> &'static [&'static str] {
                match self {
                    Self::$first => &[$($first_alias),*],
                    $(Self::$kind => &[$($alias),*],)*
                }
            }
        }

        /// A resource of any kind; the document people write, tagged by `kind`.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(tag = "kind")]
        pub enum Resource {
            #[doc = concat!("See [`", stringify!($first), "`].")]
            $first($first),
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $kind($kind),)*
        }

        impl Resource {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> ResourceKind {
                match self {
                    Self::$first(_) => ResourceKind::$first,
                    $(Self::$kind(_) => ResourceKind::$kind,)*
                }
            }

            /// Its metadata.
            #[must_use]
            pub const fn metadata(&self) -> &Metadata {
                match self {
                    Self::$first(document) => &document.metadata,
                    $(Self::$kind(document) => &document.metadata,)*
                }
            }
        }

        impl From<$first> for Resource {
            fn from(document: $first) -> Self {
                Self::$first(document)
            }
        }
        $(impl From<$kind> for Resource {
            fn from(document: $kind) -> Self {
                Self::$kind(document)
            }
        })*
    };
}
for_each_kind!(define_kinds);

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Value::deserialize(deserializer)?;
        from_value(document)
            .map_err(|(pointer, rule)| de::Error::custom(format!("{pointer}: {rule}")))
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
        let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
        let wanted = plain(text);
        Self::ALL
            .into_iter()
            .find(|kind| {
                wanted == plain(kind.as_str())
                    || wanted == plain(kind.plural())
                    || kind.aliases().contains(&wanted.as_str())
            })
            .ok_or(Self::ERROR)
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

impl Resource {
    /// Which agents it is for, of itself; `None` for what only goes where
    /// something refers to it.
    #[must_use]
    pub const fn selector(&self) -> Option<&Selector> {
        match self {
            Self::VirtualHost(document) => Some(&document.spec.selector),
            Self::Snippet(document) if document.spec.context.is_chosen() => {
                Some(&document.spec.selector)
            }
            Self::StreamServer(document) => Some(&document.spec.selector),
            Self::NginxSettings(document) => Some(&document.spec.selector),
            Self::Template(_) => {
                static EVERY_AGENT: Selector = Selector::EVERY_AGENT;
                Some(&EVERY_AGENT)
            }
            _ => None,
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

    /// The document as people may see it: private keys, password hashes and keys
    /// of programs read `***`.
    #[must_use]
    pub fn redacted(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        for_each_secret(&mut value, &mut |_, secret| *secret = Value::from("***"));
        value
    }
}

/// The fields that hold secrets, wherever they stand.
const SECRET_FIELDS: [&str; 3] = ["private_key", "password_hash", "secret"];

/// Calls `with` for every secret in the spec of a document, with its JSON pointer.
pub fn for_each_secret(document: &mut Value, with: &mut dyn FnMut(&str, &mut Value)) {
    if let Some(spec) = document.get_mut("spec") {
        secrets(spec, &mut "/spec".to_owned(), with);
    }
}

/// Names of fields have no `/` and no `~`, so they are as they are in pointers.
fn secrets(value: &mut Value, pointer: &mut String, with: &mut dyn FnMut(&str, &mut Value)) {
    let length = pointer.len();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                *pointer += "/";
                *pointer += name;
                if SECRET_FIELDS.contains(&&**name) && value.is_string() {
                    with(pointer, value);
                } else {
                    secrets(value, pointer, with);
                }
                pointer.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter_mut().enumerate() {
                *pointer += &format!("/{index}");
                secrets(value, pointer, with);
                pointer.truncate(length);
            }
        }
        _ => {}
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

    /// The templates, by name; found without looking at the other resources.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.of_kind(ResourceKind::Template)
            .filter_map(|(_, resource)| match resource {
                Resource::Template(document) => Some(document),
                _ => None,
            })
    }

    /// The stream servers, by name; found without looking at the other resources.
    pub fn stream_servers(&self) -> impl Iterator<Item = (&ResourceKey, &StreamServer)> {
        self.of_kind(ResourceKind::StreamServer)
            .filter_map(|(key, resource)| match resource {
                Resource::StreamServer(document) => Some((key, document)),
                _ => None,
            })
    }

    /// The resources of a kind, found without looking at the others.
    fn of_kind(&self, kind: ResourceKind) -> impl Iterator<Item = (&ResourceKey, &Resource)> {
        // Kinds are ordered as they are listed, names as text: "0" is the first.
        let first = ResourceName::parse("0").ok();
        let first = first.map(|name| ResourceKey { kind, name });
        let from = first.map(|first| self.resources.range(first..));
        from.into_iter()
            .flatten()
            .take_while(move |(key, _)| key.kind == kind)
            .map(|(key, resource)| (key, &**resource))
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

    /// The upstreams, by name.
    pub fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        self.iter().filter_map(|(_, resource)| match &**resource {
            Resource::Upstream(upstream) => Some(upstream),
            _ => None,
        })
    }

    /// The upstream called `name`.
    #[must_use]
    pub fn upstream(&self, name: &ResourceName) -> Option<&Upstream> {
        match self.named(ResourceKind::Upstream, name)? {
            Resource::Upstream(document) => Some(document),
            _ => None,
        }
    }

    /// The certificate called `name`.
    #[must_use]
    pub fn certificate(&self, name: &ResourceName) -> Option<&Certificate> {
        match self.named(ResourceKind::Certificate, name)? {
            Resource::Certificate(document) => Some(document),
            _ => None,
        }
    }

    /// The access list called `name`.
    #[must_use]
    pub fn access_list(&self, name: &ResourceName) -> Option<&AccessList> {
        match self.named(ResourceKind::AccessList, name)? {
            Resource::AccessList(document) => Some(document),
            _ => None,
        }
    }

    /// The policy called `name`.
    #[must_use]
    pub fn policy(&self, name: &ResourceName) -> Option<&Policy> {
        match self.named(ResourceKind::Policy, name)? {
            Resource::Policy(document) => Some(document),
            _ => None,
        }
    }

    /// The locations called `name`.
    #[must_use]
    pub fn route_set(&self, name: &ResourceName) -> Option<&RouteSet> {
        match self.named(ResourceKind::RouteSet, name)? {
            Resource::RouteSet(document) => Some(document),
            _ => None,
        }
    }

    /// The snippet called `name`.
    #[must_use]
    pub fn snippet(&self, name: &ResourceName) -> Option<&Snippet> {
        match self.named(ResourceKind::Snippet, name)? {
            Resource::Snippet(document) => Some(document),
            _ => None,
        }
    }

    fn named(&self, kind: ResourceKind, name: &ResourceName) -> Option<&Resource> {
        let name = name.clone();
        self.get(&ResourceKey { kind, name }).map(|found| &**found)
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

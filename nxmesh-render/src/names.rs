//! Names of files and nginx objects, made from digests, never from tenants' text.

use nxmesh_core::{
    digest::Digest,
    model::{
        CertificateSpec, ResourceKey, ResourceKind,
        value::{ResourceName, WorkspaceName},
    },
};

/// The folder of virtual hosts in a tree.
pub(crate) const VIRTUAL_HOSTS: &str = "virtual-hosts/";
/// The folder of snippets of the `http` block in a tree; first, so that what
/// they define is there for all others.
pub(crate) const SNIPPETS: &str = "snippets/";
/// The folder of upstreams in a tree.
pub(crate) const UPSTREAMS: &str = "upstreams/";

/// The folder of the list of media types.
pub(crate) const MEDIA_TYPES: &str = "media-types/";
/// The folder of what stands outside of all blocks.
pub(crate) const MAIN: &str = "main/";
/// The folder of what stands in the block `events`.
pub(crate) const EVENTS: &str = "events/";
/// The folder of snippets of the block `stream`.
pub(crate) const STREAM_SNIPPETS: &str = "stream-snippets/";
/// The folder of stream servers.
pub(crate) const STREAM_SERVERS: &str = "stream-servers/";

/// Folders of what does not stand in the block `http`.
pub(crate) const OUTSIDE_OF_HTTP: [&str; 4] = [MAIN, EVENTS, STREAM_SNIPPETS, STREAM_SERVERS];

/// The folders of resources of `kind`.
pub(crate) const fn folders(kind: ResourceKind) -> &'static [&'static str] {
    match kind {
        ResourceKind::VirtualHost => &[VIRTUAL_HOSTS],
        ResourceKind::Upstream => &[UPSTREAMS],
        ResourceKind::Snippet => &[SNIPPETS, MAIN, EVENTS, STREAM_SNIPPETS],
        ResourceKind::StreamServer => &[STREAM_SERVERS],
        ResourceKind::NginxSettings => &[MEDIA_TYPES, MAIN, EVENTS],
        ResourceKind::Certificate
        | ResourceKind::AccessList
        | ResourceKind::Policy
        | ResourceKind::RouteSet
        | ResourceKind::Template => &[],
    }
}

/// A digest of what a resource is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity(Digest);

impl Identity {
    pub(crate) fn of(workspace: &WorkspaceName, kind: ResourceKind, name: &ResourceName) -> Self {
        Self(Digest::of_parts([
            workspace.as_str().as_bytes(),
            kind.as_str().as_bytes(),
            name.as_str().as_bytes(),
        ]))
    }

    /// The path of the resource's file in a tree.
    pub(crate) fn path(self, folder: &str, name: &ResourceName) -> String {
        [folder, name.as_str(), "-", &self.0.short(), ".conf"].concat()
    }

    /// What nginx calls an upstream.
    pub(crate) fn upstream(self) -> String {
        ["nxmesh_up_", &object(self.0)].concat()
    }

    /// The name of a variable that holds the address of an upstream's one server.
    pub(crate) fn address(self) -> String {
        ["nxmesh_addr_", &object(self.0)].concat()
    }

    /// The digest.
    pub(crate) const fn digest(&self) -> &Digest {
        &self.0
    }
}

/// A part of the name of an object of nginx. Longer than the digest in a path,
/// which only tells workspaces apart: here two names must not meet by any effort.
pub(crate) fn object(digest: Digest) -> String {
    digest.half()
}

/// Where files of a resource can lie, however its workspace is called.
pub(crate) fn path_prefixes(key: &ResourceKey) -> impl Iterator<Item = String> {
    let folders = folders(key.kind).iter();
    folders.map(|folder| format!("{folder}{}-", key.name))
}

/// The stem of a certificate's files: its name and a digest of what they hold.
pub(crate) fn pem_stem(name: &ResourceName, spec: &CertificateSpec) -> String {
    let digest = Digest::of_parts([
        spec.certificate.as_pem().as_bytes(),
        spec.private_key.expose_pem().as_bytes(),
    ]);
    format!("{name}-{digest}")
}

/// Whether `file` is a certificate or key file of the certificate called `name`.
pub(crate) fn is_pem_of(file: &str, name: &ResourceName) -> bool {
    is_named(file, name, &[".crt", ".key"])
}

/// What a file of secrets of the virtual host called `name` is called.
pub(crate) fn secrets_file(name: &ResourceName, text: &str, suffix: &str) -> String {
    format!("{name}-{}{suffix}", Digest::of(text.as_bytes()))
}

/// People and their passwords.
pub(crate) const USERS: &str = ".users";
/// Programs and their keys.
pub(crate) const KEYS: &str = ".keys";

/// Whether `file` holds secrets of the virtual host called `name`.
pub(crate) fn is_secrets_of(file: &str, name: &ResourceName) -> bool {
    is_named(file, name, &[USERS, KEYS])
}

fn is_named(file: &str, name: &ResourceName, suffixes: &[&str]) -> bool {
    let rest = file.strip_prefix(name.as_str());
    let rest = rest.and_then(|rest| rest.strip_prefix('-'));
    let digest = rest.and_then(|rest| suffixes.iter().find_map(|it| rest.strip_suffix(it)));
    digest.is_some_and(|digest| digest.len() == 64 && !digest.contains('-'))
}

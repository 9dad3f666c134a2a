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

/// The folder of resources of `kind`; none for those without a file.
pub(crate) const fn folder(kind: ResourceKind) -> Option<&'static str> {
    match kind {
        ResourceKind::VirtualHost => Some(VIRTUAL_HOSTS),
        ResourceKind::Upstream => Some(UPSTREAMS),
        ResourceKind::Snippet => Some(SNIPPETS),
        ResourceKind::Certificate
        | ResourceKind::AccessList
        | ResourceKind::Policy
        | ResourceKind::Template => None,
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
        format!("{folder}{name}-{}.conf", self.0.short())
    }

    /// What nginx calls an upstream.
    pub(crate) fn upstream(self) -> String {
        format!("nxmesh_up_{}", object(self.0))
    }

    /// The digest.
    pub(crate) const fn digest(&self) -> &Digest {
        &self.0
    }
}

/// A part of the name of an object of nginx. Longer than the digest in a path,
/// which only tells workspaces apart: here two names must not meet by any effort.
pub(crate) fn object(digest: Digest) -> String {
    let bytes = digest.as_bytes();
    let id = u128::from_be_bytes(std::array::from_fn(|index| bytes[index]));
    format!("{id:032x}")
}

/// Where files of a resource can lie, however its workspace is called.
pub(crate) fn path_prefix(key: &ResourceKey) -> Option<String> {
    folder(key.kind).map(|folder| format!("{folder}{}-", key.name))
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

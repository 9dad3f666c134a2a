//! From the model to the records that templates run over.
//!
//! Here every text becomes a quoted word, and what depends on the version of
//! nginx is decided.

pub(crate) mod headers;
mod location;
pub(crate) mod maps;
mod nginx_settings;
pub(crate) mod snippet;
mod stream_server;
pub(crate) mod tls;
pub(crate) mod traffic;
pub(crate) mod upstream;
mod virtual_host;

use std::{fmt, net::SocketAddr};

use nxmesh_core::{
    contract::renderer::{NginxVersion, RenderError, RenderSettings},
    model::{
        ResourceKey, ResourceKind, ResourceSet,
        value::{ListenAddress, Port, ResourceName, WorkspaceName},
    },
};

use crate::{
    names::Identity,
    token::{Word, quote_expanding},
};
pub(crate) use nginx_settings::{EventsRecord, MainRecord, MediaTypesRecord};
pub(crate) use snippet::SnippetRecord;
pub(crate) use stream_server::StreamServerRecord;
pub(crate) use upstream::{ResolverRecord, UpstreamRecord, asked_again};
pub(crate) use virtual_host::{HTTP2_DIRECTIVE, VirtualHostRecord};

/// What is known while the record of one resource is made.
pub(crate) struct Scene<'a> {
    pub(crate) key: &'a ResourceKey,
    pub(crate) workspace: &'a WorkspaceName,
    pub(crate) resources: &'a ResourceSet,
    pub(crate) settings: &'a RenderSettings,
}

/// What requests are passed to.
pub(crate) struct Target {
    /// Of an upstream's block or, where there is a resolver, of a variable.
    pub(crate) name: String,
    /// Who is asked for its addresses, in each place that passes requests to it.
    pub(crate) resolver: Option<ResolverRecord<'static>>,
}

impl Target {
    /// The word for it behind the scheme.
    pub(crate) fn word<'w>(&self) -> Word<'w> {
        if self.resolver.is_some() {
            Word::made_variable(&self.name)
        } else {
            Word::own(&self.name)
        }
    }
}

impl Scene<'_> {
    /// The resource cannot be written, for this reason.
    pub(crate) fn unrenderable(&self, reason: impl fmt::Display) -> RenderError {
        RenderError::Unrenderable {
            resource: self.key.clone(),
            reason: reason.to_string(),
        }
    }

    /// The resource refers to another that is not there.
    pub(crate) fn missing(&self, missing: ResourceKey) -> RenderError {
        RenderError::MissingReference {
            resource: self.key.clone(),
            missing,
        }
    }

    /// What nginx calls the upstream called `name`, which has to be a block for it.
    pub(crate) fn upstream(&self, name: &ResourceName) -> Result<String, RenderError> {
        let target = self.target(name)?;
        if target.resolver.is_some() {
            self.require(
                "resolve for what is passed on otherwise than by proxy, grpc or fastcgi",
                upstream::RESOLVE,
            )?;
        }
        Ok(target.name)
    }

    /// What requests for the upstream called `name` are passed to.
    pub(crate) fn target(&self, name: &ResourceName) -> Result<Target, RenderError> {
        let kind = ResourceKind::Upstream;
        let Some(document) = self.resources.upstream(name) else {
            let name = name.clone();
            return Err(self.missing(ResourceKey { kind, name }));
        };
        let identity = Identity::of(self.workspace, kind, name);
        Ok(match upstream::asked_again(self.settings, document) {
            Some(again) => Target {
                name: identity.address(),
                resolver: Some(upstream::resolver(again)),
            },
            None => Target {
                name: identity.upstream(),
                resolver: None,
            },
        })
    }

    /// What `listen` says for a port at an address, or at every one.
    pub(crate) fn addresses(&self, address: Option<ListenAddress>, port: Port) -> Vec<String> {
        match address {
            Some(address) => vec![SocketAddr::new(address.ip(), port.get()).to_string()],
            None if self.settings.ipv6 => vec![port.to_string(), format!("[::]:{port}")],
            None => vec![port.to_string()],
        }
    }

    /// Refuses `feature` where only the block `http` is ours.
    pub(crate) fn require_whole_conf(&self, feature: &'static str) -> Result<(), RenderError> {
        if self.settings.whole_conf {
            return Ok(());
        }
        Err(RenderError::OutsideOfHttp {
            resource: self.key.clone(),
            feature,
        })
    }

    /// Refuses `feature` for an nginx older than `needs`.
    pub(crate) fn require(
        &self,
        feature: &'static str,
        needs: (u16, u16, u16),
    ) -> Result<(), RenderError> {
        if self.nginx_is(needs) {
            return Ok(());
        }
        let (major, minor, patch) = needs;
        Err(RenderError::Unsupported {
            resource: self.key.clone(),
            feature,
            needs: NginxVersion {
                major,
                minor,
                patch,
            },
            has: self.settings.nginx,
        })
    }

    /// The path of a file of a certificate.
    pub(crate) fn tls_file(&self, stem: &str, suffix: &str) -> Result<Word<'static>, RenderError> {
        let path = self.settings.tls_dir.join(format!("{stem}{suffix}"));
        let Some(path) = path.to_str() else {
            return Err(self.unrenderable("the path of the TLS folder is not UTF-8"));
        };
        quote_expanding(path)
            .map(Word::into_owned)
            .map_err(|error| {
                self.unrenderable(format_args!("in the path of the TLS folder {error}"))
            })
    }

    /// Refuses `feature` for an nginx that was built without `module`.
    pub(crate) fn require_module(
        &self,
        feature: &'static str,
        module: &'static str,
    ) -> Result<(), RenderError> {
        if self.has_module(module) {
            return Ok(());
        }
        Err(RenderError::MissingModule {
            resource: self.key.clone(),
            feature,
            module,
        })
    }

    /// Whether nginx was built with `module`, as far as that is known.
    pub(crate) fn has_module(&self, module: &str) -> bool {
        let modules = self.settings.modules.as_ref();
        modules.is_none_or(|modules| modules.contains(module))
    }

    /// Whether nginx is `version` or newer.
    pub(crate) fn nginx_is(&self, version: (u16, u16, u16)) -> bool {
        at_least(self.settings.nginx, version)
    }
}

/// Whether `nginx` is `version` or newer.
pub(crate) fn at_least(nginx: NginxVersion, version: (u16, u16, u16)) -> bool {
    (nginx.major, nginx.minor, nginx.patch) >= version
}
